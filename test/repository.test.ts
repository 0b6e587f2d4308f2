import { execFile } from "node:child_process";
import { cpSync, existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { generated } from "../src/config/generate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const sources = globSync("src/**/*.ts", { cwd: root });
const pages = globSync(["*.md", "docs/**/*.md"], { cwd: root });
const scripts = (JSON.parse(read("package.json")) as { scripts: Record<string, string> }).scripts;

describe("what is generated is current", () => {
  test.each(Object.entries(generated()))("%s is what npm run generate writes", (path, text) => {
    expect(read(path)).toBe(text);
  });

  test("the migrations make the schema of src/store/schema.ts", { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(root, "node_modules", ".migrations-"));
    try {
      const out = join(folder, "migrations");
      cpSync(join(root, "src/store/migrations"), out, { recursive: true });
      const before = readdirSync(out, { recursive: true }).toSorted();
      const kit = join(dirname(createRequire(import.meta.url).resolve("drizzle-kit")), "bin.cjs");
      const args = [
        "generate",
        "--dialect",
        "postgresql",
        "--schema",
        "src/store/schema.ts",
        "--out",
        `./${out.slice(root.length)}`,
      ];
      const { stdout } = await promisify(execFile)(process.execPath, [kit, ...args], { cwd: root });
      expect(stdout).toContain("No schema changes");
      expect(readdirSync(out, { recursive: true }).toSorted()).toEqual(before);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("app.yml asks for what the code uses, and no more", () => {
  const manifest = parse(read("app.yml")) as { default_events: string[]; default_permissions: Record<string, string> };

  test("the events are those of the routes", () => {
    const routed = [...read("src/index.ts").matchAll(/\bon\(\s*(\[[^\]]*\]|"[^"]*")/g)].flatMap(
      ([, names]) => names?.match(/(?<=")\w+/g) ?? [],
    );
    // GitHub sends these to every App. https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation
    const always = ["installation", "installation_repositories"];
    const wanted = new Set(routed.filter((name) => !always.includes(name)));
    expect(manifest.default_events.toSorted()).toEqual([...wanted].toSorted());
  });

  test("the permissions are the highest that a step asks a token for", () => {
    const steps = sources.filter((path) => /^src\/(pipeline\/steps|status|run|github)\//.test(path)).map(read);
    expect(manifest.default_permissions).toEqual(permissionsAskedFor(steps));
  });

  test("permissionsAskedFor takes the highest access of each permission", () => {
    const text =
      'ctx.github({ issues: "read", contents: "read" }); ctx.github({ issues: "write" }); ctx.gitToken("write"); gitToken(access);';
    expect(permissionsAskedFor([text])).toEqual({ contents: "write", issues: "write" });
  });
});

/** GitHub's permissions that sources name where they ask for a token. */
function permissionsAskedFor(texts: string[]): Record<string, string> {
  const asked: Record<string, string> = {};
  const named =
    /\b(contents|issues|pull_requests|metadata|checks|statuses|actions|workflows): "(read|write)"|\bgitToken\("(read|write)"\)/g;
  for (const match of texts.flatMap((text) => [...text.matchAll(named)])) {
    const [permission, access] = match[1] === undefined ? ["contents", match[3]] : [match[1], match[2]];
    if (asked[permission] !== "write") asked[permission] = access as string;
  }
  return asked;
}

describe("the documents", () => {
  test.each(pages)("%s links to files and headings that are there", (page) => {
    expect(deadLinks(page, read(page))).toEqual([]);
  });

  test.each(pages)("%s names files and commands that are there", (page) => {
    const text = read(page);
    const paths = [...text.matchAll(/`((?:src|docs|test|bench|demo|schema|\.github\/workflows|\.ci)\/[\w./-]*)`/g)].map(
      ([, path]) => path as string,
    );
    const commands = [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, name]) => name as string);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    // docs/checks.md speaks of the scripts of other repositories.
    if (page !== "docs/checks.md") expect(commands.filter((name) => !(name in scripts))).toEqual([]);
  });

  test("deadLinks names a missing file and a missing heading", () => {
    const text =
      "# Title\n## A `part`, two\n[a](LICENSE) [b](docs/none.md) [c](#a-part-two) [d](#none) [e](https://example.com/x) [f](docs/checks.md#none)";
    expect(deadLinks("README.md", text)).toEqual(["docs/none.md", "#none", "docs/checks.md#none"]);
  });

  test("CHANGELOG.md says what is not released yet", () => {
    expect(read("CHANGELOG.md")).toMatch(
      /^## \[?Unreleased\]?\n\n### (Added|Changed|Fixed|Removed|Deprecated|Security)\n\n- \S/m,
    );
  });
});

/** Links of a page whose file or heading is not there; addresses on the web are not fetched. */
function deadLinks(page: string, text: string): string[] {
  const links = [...text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, link]) => link as string,
  );
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path));
    if (path !== "" && !existsSync(join(root, file))) return true;
    return anchor !== undefined && !anchorsOf(path === "" ? text : read(file)).includes(anchor);
  });
}

/** The anchors that GitHub makes of headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );
}

describe("what is installed", () => {
  const lock = JSON.parse(read("package-lock.json")) as {
    packages: Record<string, { link?: boolean; resolved?: string; integrity?: string }>;
  };

  test("every locked package is from the configured registry and has its checksum", () => {
    const packages = Object.entries(lock.packages).filter(([path]) => path !== "");
    expect(packages.length).toBeGreaterThan(100);
    const odd = packages.filter(
      ([, { link, resolved, integrity }]) => link || resolved !== undefined || !integrity?.startsWith("sha512-"),
    );
    expect(odd.map(([path]) => path)).toEqual([]);
  });

  test("every dependency has one exact version", () => {
    const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Record<
      string,
      Record<string, string>
    >;
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    expect(loose).toEqual([]);
  });
});

describe("continuous integration", () => {
  test(".ci/run runs what the README promises, and lets nothing be skipped", () => {
    for (const path of [".ci/run", ".ci/install", ".ci/temporal", ".ci/images", ".ci/base-image"]) {
      expect(statSync(join(root, path)).mode & 0o111).toBe(0o111);
      expect(read(path)).toMatch(/^set -euo pipefail$/m);
    }
    expect(read(".ci/install")).toMatch(/^npm ci$/m);
    const commands = read(".ci/run")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(commands.slice(2)).toEqual([
      "export CI=true",
      ".ci/install",
      "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT",
      ".ci/claude-code >/dev/null &",
      "nice -n 19 .ci/temporal >/dev/null &",
      "nice -n 19 .ci/images >/dev/null 2>&1 &",
      "npm run -s lint",
      "npm run -s typecheck",
      "npm run -s deadcode",
      "npm run -s mechanisms",
      "npm test",
    ]);
  });

  test.each([
    ["ci.yml", ".ci/run"],
    ["night.yml", ".ci/install"],
  ])("the workflow %s calls %s with read access alone", (file, command) => {
    const workflow = parse(read(`.github/workflows/${file}`)) as {
      permissions: Record<string, string>;
      jobs: Record<string, { steps: { run?: string }[] }>;
    };
    expect(workflow.permissions).toEqual({ contents: "read" });
    expect(Object.values(workflow.jobs).flatMap(({ steps }) => steps.map(({ run }) => run))).toContain(command);
  });

  test("npm run check looks at everything in order", () => {
    expect(scripts.check?.split(" && ")).toEqual([
      "npm run -s lint",
      "npm run -s typecheck",
      "npm run -s deadcode",
      "vitest run --project unit",
    ]);
  });
});

test("no source puts work off", () => {
  const later = /^\s*(?:\/\/|\*|#).*\b(?:TODO|FIXME|HACK|XXX)\b|(?:\/\/|\/\*)\s*(?:TODO|FIXME|HACK|XXX)\b/m;
  expect(sources.filter((path) => later.test(read(path)))).toEqual([]);
  expect("// TODO: later").toMatch(later);
});
