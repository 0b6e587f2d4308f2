import { mkdirSync } from "node:fs";
import { dirname, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Writes the webhook function as one file that needs no node_modules. It has the routes of `src/index.ts` without its server. */
export function bundleWebhook(outfile: string): Promise<Metafile> {
  return bundle("src/run/lambda/webhook.ts", outfile, [leftOut(/\/run\/attach\.ts$/)]);
}

/** Writes the function of the sandbox, which is that of set-up too, as one file that needs no node_modules. */
export function bundleSandboxHandler(outfile: string): Promise<Metafile> {
  return bundle("src/run/lambda/sandbox.ts", outfile);
}

/**
 * One ES module for nodejs24.x from an entry below the repository's root, with all that it imports. Returns what went
 * into it.
 */
export async function bundle(entry: string, outfile: string, plugins: Plugin[] = []): Promise<Metafile> {
  mkdirSync(dirname(outfile), { recursive: true });
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minify: true,
    legalComments: "none",
    metafile: true,
    plugins: [...plugins, ownModulesArePure],
    // CommonJS packages in an ES module call require.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
    logLevel: "warning",
  });
  return metafile;
}

/** Importing one of our modules does nothing, so that what nobody uses of it, such as the server, is left out. */
const ownModulesArePure: Plugin = {
  name: "own modules are pure",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^\.\.?\// }, async ({ path, pluginData, ...from }) => {
      if (pluginData === ownModulesArePure) return undefined;
      const found = await resolve(path, { ...from, pluginData: ownModulesArePure });
      return found.path.startsWith(`${root}src${sep}`) ? { ...found, sideEffects: false } : found;
    });
  },
};

/**
 * Does not even read a module of which nothing is used. If something were, the bundle would import a file that is not
 * there, and would not start.
 */
function leftOut(filter: RegExp): Plugin {
  return {
    name: "left out",
    setup({ onResolve }) {
      onResolve({ filter }, ({ path }) => ({ path, external: true, sideEffects: false }));
    },
  };
}
