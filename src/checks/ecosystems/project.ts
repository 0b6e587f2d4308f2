import type { Command, FormatCommand, SetupCommand } from "../commands.ts";
import type { Ecosystem } from "../registry-hosts.ts";
import type { RepositoryView } from "../repository-view.ts";

/** What one ecosystem's detector found in one directory. */
export interface FoundCommands {
  ecosystems: Ecosystem[];
  setup: SetupCommand[];
  format: FormatCommand[];
  lint: Command[];
  build: Command[];
  test: Command[];
  /** Directories that setup and builds create, relative to the project's directory. */
  environmentPaths: string[];
  /** Directories below HOME that setup fills. */
  homeCaches: string[];
}

/** Returns undefined where the directory is no project of the detector's ecosystem. */
export type Detector = (project: Project) => Promise<FoundCommands | undefined>;

const maxManifestLength = 1_000_000;

/** One directory of a repository, looked at as a project; all paths are relative to it. */
export class Project {
  readonly directory: string;
  readonly files: readonly string[];
  readonly #names: ReadonlySet<string>;
  readonly #view: RepositoryView;
  readonly #prefix: string;

  constructor(view: RepositoryView, directory: string) {
    this.#view = view;
    this.directory = directory;
    this.#prefix = directory === "." ? "" : `${directory}/`;
    this.files = view.files
      .filter((path) => path.startsWith(this.#prefix))
      .map((path) => path.slice(this.#prefix.length));
    this.#names = new Set(this.files);
  }

  has(path: string): boolean {
    return this.#names.has(path);
  }

  /** Returns the first of these paths that exists. */
  firstOf(...paths: string[]): string | undefined {
    return paths.find((path) => this.#names.has(path));
  }

  /** Returns whether any own file (not vendored, not a fixture) matches. */
  some(pattern: RegExp): boolean {
    return this.files.some((path) => pattern.test(path) && !foreign.test(path));
  }

  /** Returns the text of a file, "" where there is none or where it is larger than 1 MB. */
  async text(path: string): Promise<string> {
    if (!this.#names.has(path)) return "";
    const text = (await this.#view.read(this.#prefix + path)) ?? "";
    return text.length > maxManifestLength ? "" : text;
  }

  /** Returns whether one of the first few own files with this name contains the text. */
  async anyContains(name: RegExp, text: RegExp): Promise<boolean> {
    const some = this.files.filter((path) => name.test(path) && !foreign.test(path)).slice(0, 8);
    for (const path of some) if (text.test(await this.text(path))) return true;
    return false;
  }

  command(ecosystem: Ecosystem, name: string, run: string, more: Partial<Command> = {}): Command {
    return { name, run, directory: this.directory, ecosystem, timeoutSeconds: 300, ...more };
  }

  setup(ecosystem: Ecosystem, run: string, withoutScripts?: string, more: Partial<Command> = {}): SetupCommand {
    const name = more.name ?? run.split(" ").slice(0, 2).join(" ");
    const command: SetupCommand = this.command(ecosystem, name, run, { timeoutSeconds: 900, ...more });
    if (withoutScripts !== undefined) command.withoutScripts = withoutScripts;
    return command;
  }

  found(ecosystem: Ecosystem, more: Partial<FoundCommands> = {}): FoundCommands {
    return {
      ecosystems: [ecosystem],
      setup: [],
      format: [],
      lint: [],
      build: [],
      test: [],
      environmentPaths: [],
      homeCaches: [],
      ...more,
    };
  }
}

/** The time limit of a test command, in seconds. */
export const testTimeoutSeconds = 900;

/** The time limit of a build command, in seconds. */
export const buildTimeoutSeconds = 600;

/** Directories whose contents are not the project's own. */
export const foreign =
  /(?:^|\/)(?:node_modules|vendor|third_party|testdata|fixtures|__fixtures__|\.venv|target|dist)\//;
