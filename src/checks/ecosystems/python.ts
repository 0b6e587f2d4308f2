import { type Command, type FormatCommand, reportPath } from "../commands.ts";
import { buildTimeoutSeconds, type FoundCommands, type Project, testTimeoutSeconds } from "./project.ts";

interface Installer {
  ecosystem: "uv" | "poetry" | "pipenv" | "pip";
  setup: FoundCommands["setup"];
  /** Runs a program of the project's environment. */
  run(command: string): string;
  environment: Record<string, string>;
}

const pytestOptions = `-p no:cacheprovider --junitxml=${reportPath("pytest.xml")}`;

/** Detects uv, poetry, pipenv and pip projects; tests by pytest, Django, unittest or, where nothing else is found, tox. */
export async function detectPython(project: Project): Promise<FoundCommands | undefined> {
  const requirements = project.files.filter((path) =>
    /^(?:[\w.-]*requirements[\w.-]*|requirements\/[\w.-]+)\.txt$/.test(path),
  );
  const manifest = project.firstOf("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "tox.ini", "pytest.ini");
  if (manifest === undefined && requirements.length === 0) return undefined;
  const pyproject = await project.text("pyproject.toml");
  const texts = [pyproject];
  for (const path of [
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "Pipfile",
    "pytest.ini",
    ".pre-commit-config.yaml",
    ...requirements.slice(0, 20),
  ]) {
    texts.push(await project.text(path));
  }
  const all = texts.join("\n");
  // A pyproject.toml may hold nothing but the settings of a tool.
  if (
    manifest === "pyproject.toml" &&
    requirements.length === 0 &&
    !/^\[(?:project|build-system|tool\.poetry|tool\.pytest)/m.test(pyproject)
  ) {
    return undefined;
  }
  const usesPytest =
    /\bpytest\b/.test(all) ||
    project.some(/(?:^|\/)conftest\.py$/) ||
    (await project.anyContains(testFile, /^\s*(?:import|from) pytest\b/m));
  const installer = installerOf(project, pyproject, all, requirements, usesPytest);
  const { ecosystem, environment } = installer;
  const command = (name: string, run: string, more: Partial<Command> = {}) =>
    project.command(ecosystem, name, installer.run(run), { environment, ...more });
  const found = project.found(ecosystem, {
    setup: installer.setup,
    environmentPaths: [".venv", ".tox", ".nox"],
    homeCaches: {
      uv: [".cache/uv", ".local/share/uv"],
      poetry: [".cache/pypoetry"],
      pipenv: [".cache/pipenv", ".cache/pip"],
      pip: [".cache/pip"],
    }[ecosystem],
  });
  found.format.push(...formatOf(all, pyproject, project, command));
  if (/^\[tool\.ruff|\bruff\b/m.test(all) || project.firstOf("ruff.toml", ".ruff.toml")) {
    if (mentions(all, "ruff")) found.lint.push(command("ruff check", "ruff check ."));
  }
  if (mentions(all, "flake8") && (project.has(".flake8") || /^\[flake8\]/m.test(all)))
    found.lint.push(command("flake8", "flake8"));
  if (mentions(all, "mypy") && (project.firstOf("mypy.ini", ".mypy.ini") || /^\[(?:tool\.)?mypy/m.test(all))) {
    const paths = /^\s*files\s*=/m.test(all) ? "" : " .";
    found.lint.push(command("mypy", `mypy${paths}`, { timeoutSeconds: buildTimeoutSeconds }));
  }
  found.test.push(...(await testOf(project, usesPytest, command)));
  return found;
}

const testFile = /(?:^|\/)(?:test_[^/]*|[^/]*_tests?|tests?)\.py$/;

function installerOf(
  project: Project,
  pyproject: string,
  all: string,
  requirements: string[],
  usesPytest: boolean,
): Installer {
  const installable = project.has("setup.py") || /^\[(?:project|build-system)\]/m.test(pyproject);
  if (project.has("uv.lock") || (/^\[tool\.uv[\].]/m.test(pyproject) && requirements.length === 0)) {
    const run = `uv sync${project.has("uv.lock") ? " --frozen" : ""} --all-extras --all-groups`;
    const setup = [project.setup("uv", run, `${run} --no-build --no-install-project --no-install-workspace`)];
    return { ecosystem: "uv", setup, run: (text) => `uv run --no-sync ${text}`, environment: { UV_OFFLINE: "1" } };
  }
  if (project.has("poetry.lock") || /^\[tool\.poetry\]/m.test(pyproject)) {
    const inProject = { POETRY_VIRTUALENVS_IN_PROJECT: "true", POETRY_NO_INTERACTION: "1" };
    const setup = [
      project.setup(
        "poetry",
        "poetry install",
        "POETRY_INSTALLER_ONLY_BINARY=:all: poetry install --no-root --no-plugins",
        { environment: inProject },
      ),
    ];
    return { ecosystem: "poetry", setup, run: (text) => `poetry run ${text}`, environment: inProject };
  }
  if (project.firstOf("Pipfile.lock", "Pipfile") !== undefined) {
    const environment = { PIPENV_VENV_IN_PROJECT: "1", PIPENV_NOSPIN: "1" };
    const run = project.has("Pipfile.lock") ? "pipenv sync --dev" : "pipenv install --dev --skip-lock";
    const setup = [project.setup("pipenv", run, `PIP_ONLY_BINARY=:all: ${run}`, { environment })];
    return { ecosystem: "pipenv", setup, run: (text) => `pipenv run ${text}`, environment };
  }
  const files = requirements.filter((path) =>
    /^(?:requirements\/)?(?:requirements|.*(?:dev|test|tests|ci|base|all)[^/]*)\.txt$/.test(path),
  );
  const wanted = files.flatMap((path) => ["-r", path]);
  // pip before 25.1 does not know dependency groups, so those projects get pytest by name.
  if (usesPytest && !/\bpytest\b/.test(requirementLines(all))) wanted.push("pytest");
  const own = installable ? ["-e", `.${extrasOf(pyproject)}`] : [];
  const pip = (...packages: string[]) =>
    `.venv/bin/python -m pip install --disable-pip-version-check --quiet ${packages.join(" ")}`;
  const create = "python3 -m venv .venv";
  const setup =
    wanted.length + own.length === 0
      ? []
      : [
          project.setup(
            "pip",
            `${create} && ${pip(...wanted, ...own.map((word) => (word.includes("[") ? `'${word}'` : word)))}`,
            wanted.length === 0 ? create : `${create} && ${pip("--only-binary", ":all:", ...wanted)}`,
            { name: "pip install" },
          ),
        ];
  // Without anything to install the system's Python runs the tests.
  const run = (text: string) =>
    setup.length === 0
      ? text.startsWith("python ")
        ? `python3 ${text.slice(7)}`
        : `python3 -m ${text}`
      : `.venv/bin/${text.startsWith("python ") ? text : `python -m ${text}`}`;
  return { ecosystem: "pip", setup, run, environment: { PIP_NO_INDEX: "1" } };
}

function requirementLines(all: string): string {
  return all
    .split("\n")
    .filter((line) => !/^\s*(?:\[|#)|pytest\.ini_options|addopts/.test(line))
    .join("\n");
}

function extrasOf(pyproject: string): string {
  const section = /^\[project\.optional-dependencies\]\s*\n([\s\S]*?)(?=^\[|$(?![\s\S]))/m.exec(pyproject)?.[1] ?? "";
  const names = [...section.matchAll(/^([A-Za-z0-9_-]{1,60})\s*=/gm)].map((match) => match[1]!);
  const chosen = names.filter((name) => /^(?:dev|develop|development|test|tests|testing|ci|lint)$/i.test(name));
  return chosen.length === 0 ? "" : `[${chosen.join(",")}]`;
}

type MakeCommand = (name: string, run: string, more?: Partial<Command>) => Command;

function formatOf(all: string, pyproject: string, project: Project, command: MakeCommand): FormatCommand[] {
  const formats: FormatCommand[] = [];
  const add = (name: string, check: string, write: string, files: string) => {
    const base = command(`${name}`, write);
    formats.push({
      name,
      check: command(`${name} (check)`, check),
      write: base,
      writeFiles: { run: command(name, files).run, extensions: [".py", ".pyi"] },
    });
  };
  if (/^\[tool\.black\]/m.test(pyproject) && mentions(all, "black"))
    add("black", "black --check .", "black .", "black --quiet");
  else if (
    (/^\[tool\.ruff\.format\]/m.test(pyproject) || /\bruff-format\b|ruff format/.test(all)) &&
    mentions(all, "ruff")
  ) {
    add("ruff format", "ruff format --check .", "ruff format .", "ruff format");
  }
  if ((/^\[tool\.isort\]/m.test(pyproject) || project.has(".isort.cfg")) && mentions(all, "isort")) {
    add("isort", "isort --check-only .", "isort .", "isort --quiet");
  }
  return formats;
}

// The tool is named in a list of dependencies, not only configured: else it will not be installed.
function mentions(all: string, tool: string): boolean {
  return new RegExp(`(?:^|["'])\\s*${tool}\\s*(?:[=<>~!;\\[,"' ]|$)`, "m").test(all);
}

async function testOf(project: Project, usesPytest: boolean, command: MakeCommand): Promise<Command[]> {
  const more = { timeoutSeconds: testTimeoutSeconds };
  if (usesPytest) {
    const reports = { kind: "junit", path: "pytest.xml", from: "reports" } as const;
    return [command("pytest", `python -m pytest ${pytestOptions}`, { ...more, reports })];
  }
  if (project.has("manage.py")) return [command("manage.py test", "python manage.py test --noinput", more)];
  if (project.some(testFile)) {
    const folder = ["tests", "test"].find((name) => project.some(new RegExp(`^${name}/.*\\.py$`)));
    const where =
      folder === undefined ? "" : project.has(`${folder}/__init__.py`) ? ` -s ${folder} -t .` : ` -s ${folder}`;
    // unittest looks for test*.py only.
    const pattern = project.some(/(?:^|\/)test[^/]*\.py$/) ? "" : " -p '*_test*.py'";
    return [command("unittest", `python -m unittest discover -v${where}${pattern}`, more)];
  }
  if (project.has("tox.ini")) return [command("tox", "tox", more)];
  return [];
}
