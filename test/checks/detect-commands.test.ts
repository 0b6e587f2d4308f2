import { describe, expect, it } from "vitest";
import { writeCommandFor } from "../../src/checks/commands.ts";
import { detectCommands, withConfiguredCommands } from "../../src/checks/detect-commands.ts";

const view = (files: Record<string, string | object>) => ({
  files: Object.keys(files),
  read: async (path: string) => {
    const file = files[path];
    return typeof file === "object" ? JSON.stringify(file) : file;
  },
});
const detect = (files: Record<string, string | object>) => detectCommands(view(files));
const runs = (commands: readonly { run: string }[]) => commands.map((command) => command.run);

const reports = `"\${MILLWRIGHT_REPORTS:-\${TMPDIR:-/tmp}}/`;
const dev = { devDependencies: { typescript: "5" } };

describe("detectCommands finds setup and tests", () => {
  // name, files, ecosystems, setup, setup without scripts, test
  const cases: [string, Record<string, string | object>, string[], string[], (string | undefined)[], string[]][] = [
    [
      "npm",
      { "package.json": { scripts: { test: "mocha test/*.js" }, ...dev }, "package-lock.json": "{}" },
      ["npm"],
      ["npm ci --no-audit --no-fund"],
      ["npm ci --no-audit --no-fund --ignore-scripts"],
      ["npm test --silent"],
    ],
    [
      "npm without lockfile",
      { "package.json": { scripts: { test: "tap" }, ...dev } },
      ["npm"],
      ["npm install --no-package-lock --no-audit --no-fund"],
      ["npm install --no-package-lock --no-audit --no-fund --ignore-scripts"],
      ["npm test --silent"],
    ],
    [
      "npm without dependencies",
      { "package.json": { scripts: { test: "node test.js" } } },
      ["npm"],
      [],
      [],
      ["npm test --silent"],
    ],
    [
      "vitest script",
      { "package.json": { scripts: { test: "vitest run" } } },
      ["npm"],
      [],
      [],
      [`npm test --silent -- --reporter=default --reporter=json --outputFile.json=${reports}vitest.json"`],
    ],
    [
      "jest script in pnpm",
      { "package.json": { scripts: { test: "NODE_ENV=test jest --ci" } }, "pnpm-lock.yaml": "" },
      ["pnpm"],
      ["pnpm install --frozen-lockfile"],
      ["pnpm install --frozen-lockfile --ignore-scripts --ignore-pnpmfile"],
      [`pnpm --silent run test --json --outputFile=${reports}jest.json"`],
    ],
    [
      "script of several commands",
      { "package.json": { scripts: { test: "tsc && vitest run" } } },
      ["npm"],
      [],
      [],
      ["npm test --silent"],
    ],
    [
      "yarn classic",
      { "package.json": { scripts: { test: "ava" } }, "yarn.lock": "# yarn lockfile v1\n" },
      ["yarn"],
      ["yarn install --non-interactive --frozen-lockfile"],
      ["yarn install --non-interactive --frozen-lockfile --ignore-scripts --no-default-rc"],
      ["yarn --silent run test"],
    ],
    [
      "yarn berry",
      { "package.json": { scripts: { test: "ava" } }, "yarn.lock": "__metadata:\n  version: 8\n" },
      ["yarn"],
      ["yarn install --immutable"],
      ["YARN_ENABLE_SCRIPTS=0 YARN_IGNORE_PATH=1 yarn install --immutable"],
      ["yarn run test"],
    ],
    [
      "yarn berry with plugins",
      {
        "package.json": { packageManager: "yarn@4.5.0", scripts: { test: "ava" } },
        "yarn.lock": "",
        ".yarnrc.yml": "plugins:\n  - ./x.cjs\n",
      },
      ["yarn"],
      ["yarn install --immutable"],
      [undefined],
      ["yarn run test"],
    ],
    [
      "bun",
      { "package.json": { ...dev }, "bun.lock": "", "src/a.test.ts": "" },
      ["bun"],
      ["bun install --frozen-lockfile"],
      ["bun install --frozen-lockfile --ignore-scripts"],
      ["bun test"],
    ],
    [
      "pytest by pip",
      { "requirements.txt": "flask\n", "requirements-dev.txt": "pytest\n", "tests/test_a.py": "" },
      ["pip"],
      [".", "x"],
      ["."],
      [`.venv/bin/python -m pytest -p no:cacheprovider --junitxml=${reports}pytest.xml"`],
    ],
    [
      "uv",
      { "pyproject.toml": "[project]\nname='a'\n[dependency-groups]\ndev=['pytest']\n", "uv.lock": "" },
      ["uv"],
      ["uv sync --frozen --all-extras --all-groups"],
      ["uv sync --frozen --all-extras --all-groups --no-build --no-install-project --no-install-workspace"],
      [`uv run --no-sync python -m pytest -p no:cacheprovider --junitxml=${reports}pytest.xml"`],
    ],
    [
      "poetry",
      { "pyproject.toml": "[tool.poetry]\nname='a'\n[tool.pytest.ini_options]\n", "poetry.lock": "" },
      ["poetry"],
      ["poetry install"],
      ["POETRY_INSTALLER_ONLY_BINARY=:all: poetry install --no-root --no-plugins"],
      [`poetry run python -m pytest -p no:cacheprovider --junitxml=${reports}pytest.xml"`],
    ],
    [
      "unittest",
      { "setup.py": "", "tests/__init__.py": "", "tests/test_a.py": "import unittest" },
      ["pip"],
      ["."],
      ["python3 -m venv .venv"],
      [".venv/bin/python -m unittest discover -v -s tests -t ."],
    ],
    ["tox", { "tox.ini": "[tox]\n" }, ["pip"], [], [], ["python3 -m tox"]],
    [
      "go",
      { "go.mod": "module a", "a_test.go": "" },
      ["go"],
      ["go mod download"],
      ["go mod download"],
      ["go test -json ./..."],
    ],
    [
      "go workspace",
      { "go.work": "go 1.22", "a/go.mod": "module a", "a/a_test.go": "" },
      ["go"],
      ["go mod download"],
      ["go mod download"],
      ["go test -json $(go list -m -f '{{.Dir}}/...')"],
    ],
    [
      "cargo",
      { "Cargo.toml": '[package]\nedition = "2024"', "Cargo.lock": "" },
      ["cargo"],
      ["cargo fetch --locked"],
      ["cargo fetch --locked"],
      ["cargo test --workspace --no-fail-fast --locked"],
    ],
    [
      "maven wrapper",
      { "pom.xml": "<project/>", mvnw: "", "src/test/java/ATest.java": "" },
      ["maven"],
      ["."],
      [undefined],
      ["sh ./mvnw -B -ntp -o test"],
    ],
    [
      "gradle",
      { "build.gradle.kts": "", gradlew: "", "app/src/test/kotlin/A.kt": "" },
      ["gradle"],
      ["."],
      [undefined],
      ["sh ./gradlew --no-daemon --console=plain --offline test --continue"],
    ],
    [
      "dotnet",
      { "Shop.sln": "", "T/T.csproj": '<PackageReference Include="Microsoft.NET.Test.Sdk"/>' },
      ["dotnet"],
      ["dotnet restore"],
      [undefined],
      ["."],
    ],
    [
      "rspec",
      { Gemfile: "gem 'rspec'", "Gemfile.lock": "", "spec/a_spec.rb": "" },
      ["bundler"],
      ["bundle install --jobs 4"],
      [undefined],
      [`bundle exec rspec --format progress --format json --out ${reports}rspec.json"`],
    ],
    [
      "rake",
      { Gemfile: "", Rakefile: "Rake::TestTask.new(:test)", "test/a_test.rb": "" },
      ["bundler"],
      ["bundle install --jobs 4"],
      [undefined],
      ["bundle exec rake test"],
    ],
    [
      "phpunit",
      { "composer.json": { "require-dev": { "phpunit/phpunit": "11" } } },
      ["composer"],
      ["."],
      ["."],
      [`vendor/bin/phpunit --log-junit ${reports}phpunit.xml"`],
    ],
    [
      "make",
      { Makefile: ".PHONY: test\ntest: build\n\t./run\nbuild:\n\tcc a.c\nVAR := x\n" },
      ["make"],
      [],
      [],
      ["make test"],
    ],
    ["nothing", { "README.md": "# Hello" }, [], [], [], []],
  ];
  it.each(cases)("detectCommands knows %s", async (_name, files, ecosystems, setup, withoutScripts, test) => {
    const found = await detect(files);
    expect(found.ecosystems).toEqual(ecosystems);
    // "." stands for a long command that the tests below look at.
    if (!setup.includes(".")) expect(runs(found.setup)).toEqual(setup);
    if (!withoutScripts.includes("."))
      expect(found.setup.map((command) => command.withoutScripts)).toEqual(withoutScripts);
    if (!test.includes(".")) expect(runs(found.test)).toEqual(test);
    expect(found.test).toHaveLength(test.length);
  });

  it("detectCommands installs Python requirements into the tree's own environment, without scripts from wheels only", async () => {
    const { setup, environmentPaths } = await detect({
      "requirements.txt": "flask\n",
      "dev-requirements.txt": "pytest\n",
      "tests/test_a.py": "",
    });
    expect(setup[0]!.run).toBe(
      "python3 -m venv .venv && .venv/bin/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -r dev-requirements.txt",
    );
    expect(setup[0]!.withoutScripts).toContain("--only-binary :all: -r requirements.txt");
    expect(environmentPaths).toContain(".venv");
  });

  it("detectCommands installs pytest where the tests need it and nothing lists it, and the extras for tests", async () => {
    const found = await detect({
      "pyproject.toml": "[project]\nname = 'a'\n[project.optional-dependencies]\ntest = ['hypothesis']\npdf = ['x']\n",
      "tests/test_a.py": "import pytest\n",
    });
    expect(found.setup[0]!.run).toMatch(/ pytest -e '\.\[test\]'$/);
  });

  it("detectCommands does not take npm's placeholder for a test", async () => {
    const files = { "package.json": { scripts: { test: 'echo "Error: no test specified" && exit 1' } } };
    expect((await detect(files)).test).toEqual([]);
    expect(runs((await detect({ ...files, "test/a.test.js": 'import test from "node:test";' })).test)[0]).toMatch(
      /^node --test /,
    );
  });
});

describe("detectCommands finds formatters, linters and builds", () => {
  it("detectCommands prefers the repository's scripts, with checking and writing form", async () => {
    const scripts = {
      "format:check": "prettier -c .",
      format: "prettier --write .",
      lint: "eslint .",
      typecheck: "tsc --noEmit",
      build: "tsup",
    };
    const found = await detect({
      "package.json": { scripts, devDependencies: { prettier: "3", eslint: "9" } },
      "package-lock.json": "",
    });
    expect(found.format[0]).toMatchObject({
      check: { run: "npm run --silent format:check" },
      write: { run: "npm run --silent format" },
    });
    expect(runs(found.lint)).toEqual(["npm run --silent lint", "npm run --silent typecheck"]);
    expect(runs(found.build)).toEqual(["npm run --silent build"]);
    expect(writeCommandFor(found.format[0]!, ["src/it's.ts", "a.png"])?.run).toBe(
      "npx --no-install prettier --write --ignore-unknown './src/it'\\''s.ts'",
    );
    expect(writeCommandFor(found.format[0]!, ["a.png"])).toBeUndefined();
  });

  it("detectCommands lints without repairing where the script repairs", async () => {
    expect(runs((await detect({ "package.json": { scripts: { lint: "eslint src --fix" } } })).lint)).toEqual([
      "npx --no-install eslint src",
    ]);
  });

  it("detectCommands uses a configured tool without a script", async () => {
    const found = await detect({
      "package.json": { devDependencies: { "@biomejs/biome": "2", typescript: "5" } },
      "biome.json": "{}",
      "tsconfig.json": "{}",
    });
    expect(found.format[0]?.check?.run).toBe("npx --no-install biome format");
    expect(runs(found.lint)).toEqual(["npx --no-install biome lint", "npx --no-install tsc --noEmit"]);
    const python = await detect({
      "pyproject.toml":
        "[project]\ndependencies=[]\n[dependency-groups]\ndev=['black','mypy>1']\n[tool.black]\n[tool.mypy]\n",
      "uv.lock": "",
    });
    expect(python.format[0]?.check?.run).toBe("uv run --no-sync black --check .");
    expect(runs(python.lint)).toEqual(["uv run --no-sync mypy ."]);
  });

  it("detectCommands keeps commands after setup off the network", async () => {
    const go = await detect({ "go.mod": "module a", "a_test.go": "" });
    expect(go.test[0]?.environment).toEqual({ GOPROXY: "off", GOFLAGS: "-mod=readonly" });
    expect((await detect({ "Cargo.toml": "" })).test[0]?.environment).toMatchObject({ CARGO_NET_OFFLINE: "true" });
    expect((await detect({ "pom.xml": "" })).build[0]?.run).toContain(" -o ");
  });
});

describe("detectCommands in repositories of several projects", () => {
  it("detectCommands runs the tests of npm workspaces from the root", async () => {
    const found = await detect({
      "package.json": { workspaces: ["packages/*"] },
      "packages/a/package.json": { scripts: { test: "tap" } },
    });
    expect(runs(found.test)).toEqual(["npm test --workspaces --if-present"]);
    expect(found.environmentPaths).toEqual(["node_modules", "packages/a/node_modules"]);
  });

  it("detectCommands looks into nested projects, the shallowest first, where the root has none", async () => {
    const found = await detect({
      "services/api/go.mod": "module a",
      "services/api/a_test.go": "",
      "web/package.json": { scripts: { test: "tap" } },
      "web/tools/package.json": { scripts: { test: "tap" } },
      "examples/x/package.json": { scripts: { test: "tap" } },
      "web/node_modules/y/package.json": { scripts: { test: "tap" } },
    });
    expect(found.test.map(({ directory, name }) => [directory, name])).toEqual([
      ["web", "npm test"],
      ["services/api", "go test"],
    ]);
    expect(found.environmentPaths).toContain("web/node_modules");
  });

  it("detectCommands uses a Makefile only for what nothing else answers", async () => {
    const found = await detect({ Makefile: "test:\n\tx\nlint:\n\ty\n", "package.json": { scripts: { test: "tap" } } });
    expect(runs(found.test)).toEqual(["npm test --silent"]);
    expect(runs(found.lint)).toEqual(["make lint"]);
  });

  it("detectCommands survives broken manifests", async () => {
    const found = await detect({
      "package.json": "{ not json",
      "composer.json": "[",
      "pyproject.toml": "[[[",
      Makefile: "\u0000",
    });
    expect(found.test).toEqual([]);
  });
});

describe("withConfiguredCommands", () => {
  it("withConfiguredCommands replaces what the configuration names and nothing else", async () => {
    const detected = await detect({ "package.json": { scripts: { test: "tap", lint: "xo" } } });
    const commands = withConfiguredCommands(detected, {
      test: ["make ci", { run: "./x", directory: "web", timeoutSeconds: 60 }],
      lint: [],
    });
    expect(commands.test).toEqual([
      { name: "make ci", run: "make ci", directory: ".", timeoutSeconds: 900 },
      { name: "./x", run: "./x", directory: "web", timeoutSeconds: 60 },
    ]);
    expect(commands.lint).toEqual([]);
    expect(commands.setup).toEqual(detected.setup);
  });
});
