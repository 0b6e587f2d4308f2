import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { run } from "probot";
import { parseDocument } from "yaml";
import { prepareSetup } from "../config/operator.ts";

const help = `Registers the GitHub App in the browser and writes its credentials to .env.

  npm run setup                                        webhooks come through a new smee.io channel (for trying it out)
  npm run setup -- --url https://millwright.example.com   webhooks come straight to this server

  GH_ORG=acme          register it for an organization
  GHE_HOST=ghe.example.com   register it on a GitHub Enterprise Server
  PORT, HOST           where the set-up page is served (http://localhost:3000)
`;

const manifestFile = fileURLToPath(new URL("../../app.yml", import.meta.url));
const packageFile = fileURLToPath(new URL("../../package.json", import.meta.url));
/** The browser still has to get its way to the page where the App is installed. */
const lastAnswerMs = 1_000;

/** `npm run setup`: Probot's set-up page with the manifest of app.yml and the address where webhooks really arrive. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { url: { type: "string" }, help: { type: "boolean", default: false } } });
  if (values.help) return void process.stdout.write(help);
  if (values.url !== undefined && !/^https?:$/.test(URL.parse(values.url)?.protocol ?? "")) {
    return fail(`--url must be the server's http(s) address, it is "${values.url}"`);
  }
  const envFile = join(process.cwd(), ".env");
  if (existsSync(envFile)) process.loadEnvFile(envFile);
  const environment = prepareSetup({ ownAddress: values.url !== undefined });
  if (environment.appId !== undefined) {
    return fail(
      `APP_ID is ${environment.appId} already, so the App is registered: start it with \`npm start\`. To register another, remove APP_ID, PRIVATE_KEY and WEBHOOK_SECRET from .env and the environment.`,
    );
  }

  // Probot reads app.yml from the working directory, and lets it overrule where webhooks arrive.
  const directory = mkdtempSync(join(tmpdir(), "millwright-setup-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  copyFileSync(packageFile, join(directory, "package.json"));
  process.chdir(directory);
  const hookUrl =
    values.url === undefined
      ? environment.webhookProxyUrl
      : `${values.url.replace(/\/+$/, "")}${environment.webhookPath}`;
  let arrives = writeManifest(directory, hookUrl);

  await run(() => undefined, {
    env: environment.forProbot,
    log: pino({ level: "warn" }) as never,
    updateEnv(found: Record<string, string | undefined>) {
      const given = Object.fromEntries(
        Object.entries(found).filter(([, value]) => typeof value === "string"),
      ) as Record<string, string>;
      writeEnv(envFile, given);
      if (given["WEBHOOK_PROXY_URL"] !== undefined) arrives = writeManifest(directory, given["WEBHOOK_PROXY_URL"]);
      if (given["APP_ID"] !== undefined) finish(envFile, given);
      return given;
    },
  } as Parameters<typeof run>[1]);

  say(`1. Open ${environment.pageUrl} and choose "Register GitHub App" (on ${environment.gitHub}).
   Webhooks will be sent to ${arrives.url}${arrives.known ? "" : ",\n   which is a placeholder: smee.io cannot be reached. Start again with `-- --url`, or change it in the App's settings."}
2. Install the App on a repository; the browser leads there by itself.`);
}

/** Writes the manifest for Probot; returns where it says that webhooks arrive. */
function writeManifest(directory: string, hookUrl: string | undefined): { url: string; known: boolean } {
  const manifest = parseDocument(readFileSync(manifestFile, "utf8"));
  if (hookUrl !== undefined) manifest.setIn(["hook_attributes", "url"], hookUrl);
  writeFileSync(join(directory, "app.yml"), manifest.toString());
  return { url: String(manifest.getIn(["hook_attributes", "url"])), known: hookUrl !== undefined };
}

/** Sets these variables in the file, which is the owner's alone; all other lines stay. */
function writeEnv(path: string, values: Record<string, string>): void {
  const before = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  const kept = before.filter((line) => !Object.keys(values).some((name) => line.startsWith(`${name}=`)));
  while (kept.at(-1) === "") kept.pop();
  // Probot has put quotes around the key, in which \n stands for a line break.
  const added = Object.entries(values).map(([name, value]) => `${name}=${value.replaceAll("\n", "\\n")}`);
  writeFileSync(path, `${[...kept, ...added].join("\n")}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}

function finish(envFile: string, { APP_ID }: Record<string, string>): void {
  say(`Registered: App ${APP_ID}. Its credentials are in ${envFile}; keep that file to yourself.
3. Put ANTHROPIC_API_KEY into .env (or another MILLWRIGHT_PROVIDER: docs/models.md), then \`npm start\`.`);
  setTimeout(() => process.exit(0), lastAnswerMs);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}

await main();
