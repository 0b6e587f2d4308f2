import type { Command, FormatCommand, SetupCommand } from "./commands.ts";
import { detectCargo, detectDotnet, detectGo, detectGradle, detectMaven } from "./ecosystems/compiled.ts";
import { detectNode } from "./ecosystems/node.ts";
import { type Detector, type FoundCommands, foreign, Project } from "./ecosystems/project.ts";
import { detectPython } from "./ecosystems/python.ts";
import { detectBundler, detectComposer, detectMake } from "./ecosystems/scripted.ts";
import type { Ecosystem } from "./registry-hosts.ts";
import type { RepositoryView } from "./repository-view.ts";

export interface DetectedCommands {
  ecosystems: Ecosystem[];
  setup: SetupCommand[];
  format: FormatCommand[];
  lint: Command[];
  build: Command[];
  test: Command[];
  /** Directories in the tree that setup and builds create: kept by an environment cache, never committed. */
  environmentPaths: string[];
  /** Directories below HOME that setup fills and later commands need. */
  homeCaches: string[];
}

/** What a repository's own configuration says under `checks`; a list, even an empty one, replaces what was detected. */
export type ConfiguredCommands = Partial<
  Record<"setup" | "format" | "lint" | "build" | "test", readonly ConfiguredCommand[]>
>;
export type ConfiguredCommand = string | { run: string; directory?: string; timeoutSeconds?: number };

const detectors: Detector[] = [
  detectNode,
  detectPython,
  detectGo,
  detectCargo,
  detectMaven,
  detectGradle,
  detectDotnet,
  detectBundler,
  detectComposer,
];
const maxNestedProjects = 4;
const maxNestedDepth = 3;
const manifest =
  /^(?:package\.json|pyproject\.toml|setup\.py|requirements\.txt|Pipfile|go\.mod|Cargo\.toml|pom\.xml|build\.gradle(?:\.kts)?|[^/]+\.slnx?|[^/]+\.[cfv][sb]proj|Gemfile|composer\.json)$/;
const sideDirectory =
  /(?:^|\/)(?:\.[^/]+|examples?|samples?|docs?|tests?|spec|e2e|bench(?:marks?)?|website|templates?|scripts)(?:\/|$)/i;

/**
 * Returns how a repository is set up, formatted, linted, built and tested, found by its files alone; nothing is run.
 * A repository's own scripts come before calls of known tools, and a Makefile only fills what nothing else answers.
 * Where the root has no tests, up to four nested projects are added, the shallowest first.
 */
export async function detectCommands(view: RepositoryView): Promise<DetectedCommands> {
  const detected: DetectedCommands = {
    ecosystems: [],
    setup: [],
    format: [],
    lint: [],
    build: [],
    test: [],
    environmentPaths: [],
    homeCaches: [],
  };
  const root = new Project(view, ".");
  await addProject(detected, root);
  if (detected.test.length === 0) {
    const makefile = await detectMake(root);
    if (makefile === undefined || makefile.test.length === 0) {
      for (const directory of nestedProjects(view)) await addProject(detected, new Project(view, directory));
    }
  }
  const make = await detectMake(root);
  if (make !== undefined) fillWith(detected, make);
  return detected;
}

/**
 * Returns the detected commands with those of `checks` in `.github/millwright.yml` in their place. A configured format
 * command is the writing form.
 */
export function withConfiguredCommands(detected: DetectedCommands, configured: ConfiguredCommands): DetectedCommands {
  const commands = (kind: "setup" | "lint" | "build" | "test", timeoutSeconds: number) =>
    configured[kind]?.map((command) => configuredCommand(command, timeoutSeconds)) ?? detected[kind];
  const format = configured.format?.map((command) => {
    const write = configuredCommand(command, 300);
    return { name: write.name, write };
  });
  return {
    ...detected,
    setup: commands("setup", 900),
    format: format ?? detected.format,
    lint: commands("lint", 300),
    build: commands("build", 600),
    test: commands("test", 900),
  };
}

async function addProject(detected: DetectedCommands, project: Project): Promise<void> {
  const prefix = project.directory === "." ? "" : `${project.directory}/`;
  for (const detect of detectors) {
    const found = await detect(project);
    if (found === undefined) continue;
    for (const kind of ["setup", "lint", "build", "test"] as const) detected[kind].push(...found[kind]);
    detected.format.push(...found.format);
    addNew(detected.ecosystems, found.ecosystems);
    addNew(detected.homeCaches, found.homeCaches);
    addNew(
      detected.environmentPaths,
      found.environmentPaths.map((path) => prefix + path),
    );
  }
}

function fillWith(detected: DetectedCommands, make: FoundCommands): void {
  let used = false;
  for (const kind of ["lint", "build", "test"] as const) {
    if (detected[kind].length > 0 || make[kind].length === 0) continue;
    detected[kind] = make[kind];
    used = true;
  }
  if (detected.format.length === 0 && make.format.length > 0) {
    detected.format = make.format;
    used = true;
  }
  if (used) addNew(detected.ecosystems, make.ecosystems);
}

function nestedProjects(view: RepositoryView): string[] {
  const directories = new Set<string>();
  for (const path of view.files) {
    const slash = path.lastIndexOf("/");
    if (slash <= 0 || !manifest.test(path.slice(slash + 1)) || foreign.test(path)) continue;
    const directory = path.slice(0, slash);
    if (directory.split("/").length <= maxNestedDepth && !sideDirectory.test(directory)) directories.add(directory);
  }
  const depth = (directory: string) => directory.split("/").length;
  const sorted = [...directories].sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
  // A project inside another one belongs to it.
  const outermost = sorted.filter((directory) => !sorted.some((other) => directory.startsWith(`${other}/`)));
  return outermost.slice(0, maxNestedProjects);
}

function configuredCommand(command: ConfiguredCommand, timeoutSeconds: number): Command {
  const { run, directory = ".", timeoutSeconds: own } = typeof command === "string" ? { run: command } : command;
  return { name: run.split("\n", 1)[0]!.slice(0, 60), run, directory, timeoutSeconds: own ?? timeoutSeconds };
}

function addNew<T>(list: T[], items: readonly T[]): void {
  for (const item of items) if (!list.includes(item)) list.push(item);
}
