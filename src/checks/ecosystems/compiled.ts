import { type Command, reportPath } from "../commands.ts";
import { buildTimeoutSeconds, type FoundCommands, type Project, testTimeoutSeconds } from "./project.ts";

/** Detects Go modules and workspaces. */
export async function detectGo(project: Project): Promise<FoundCommands | undefined> {
  const workspace = project.has("go.work");
  if (!workspace && !project.has("go.mod")) return undefined;
  // A module cache that is complete needs no proxy; a vendored module has none.
  const environment = { GOPROXY: "off", GOFLAGS: project.has("vendor/modules.txt") ? "-mod=vendor" : "-mod=readonly" };
  if (workspace) environment.GOFLAGS = "";
  const packages = workspace ? "$(go list -m -f '{{.Dir}}/...')" : "./...";
  const command = (name: string, run: string, more: Partial<Command> = {}) =>
    project.command("go", name, run, { environment, ...more });
  const found = project.found("go", { homeCaches: ["go/pkg/mod", ".cache/go-build"] });
  if (!project.has("vendor/modules.txt")) found.setup.push(project.setup("go", "go mod download", "go mod download"));
  const unformatted =
    'files=$(gofmt -l . | grep -v \'^vendor/\'); test -z "$files" || { echo "not formatted: $files"; exit 1; }';
  found.format.push({
    name: "gofmt",
    check: command("gofmt (check)", unformatted),
    write: command("gofmt", "gofmt -w ."),
    writeFiles: { run: "gofmt -w", extensions: [".go"] },
  });
  found.lint.push(command("go vet", `go vet ${packages}`));
  // Without -o the only main package of a module would be written into the tree.
  found.build.push(command("go build", `go build -o /dev/null ${packages}`, { timeoutSeconds: buildTimeoutSeconds }));
  if (project.some(/_test\.go$/)) {
    found.test.push(command("go test", `go test -json ${packages}`, { timeoutSeconds: testTimeoutSeconds }));
  }
  return found;
}

/** Detects Cargo packages and workspaces. */
export async function detectCargo(project: Project): Promise<FoundCommands | undefined> {
  if (!project.has("Cargo.toml")) return undefined;
  const manifest = await project.text("Cargo.toml");
  const locked = project.has("Cargo.lock") ? " --locked" : "";
  const environment = { CARGO_NET_OFFLINE: "true", CARGO_TERM_COLOR: "never" };
  const command = (name: string, run: string, more: Partial<Command> = {}) =>
    project.command("cargo", name, run, { environment, ...more });
  const fetch = `cargo fetch${locked}`;
  const edition = /^\s*edition\s*=\s*"(\d{4})"/m.exec(manifest)?.[1] ?? "2021";
  return project.found("cargo", {
    // Build scripts run when something is built, not when it is fetched.
    setup: [project.setup("cargo", fetch, fetch)],
    format: [
      {
        name: "cargo fmt",
        check: command("cargo fmt (check)", "cargo fmt --all --check"),
        write: command("cargo fmt", "cargo fmt --all"),
        writeFiles: { run: `rustfmt --edition ${edition}`, extensions: [".rs"] },
      },
    ],
    lint: [
      command("cargo clippy", `cargo clippy --workspace --all-targets${locked}`, {
        timeoutSeconds: buildTimeoutSeconds,
      }),
    ],
    build: [command("cargo build", `cargo build --workspace${locked}`, { timeoutSeconds: buildTimeoutSeconds })],
    test: [
      command("cargo test", `cargo test --workspace --no-fail-fast${locked}`, { timeoutSeconds: testTimeoutSeconds }),
    ],
    environmentPaths: ["target"],
    homeCaches: [".cargo/registry", ".cargo/git"],
  });
}

/** Detects Maven projects, with their wrapper where there is one. */
export async function detectMaven(project: Project): Promise<FoundCommands | undefined> {
  if (!project.has("pom.xml")) return undefined;
  const mvn = `${project.has("mvnw") ? "sh ./mvnw" : "mvn"} -B -ntp`;
  const pom = await project.text("pom.xml");
  const command = (name: string, run: string, timeoutSeconds: number, more: Partial<Command> = {}) =>
    project.command("maven", name, run, { timeoutSeconds, ...more });
  // dependency:go-offline leaves out what surefire resolves while it runs. A filter that takes every class and none of
  // its methods makes it resolve that without running a test; one that takes no class does not.
  const resolve =
    "test '-Dtest=*#thereIsNoTestOfThisName' -DfailIfNoTests=false -Dsurefire.failIfNoSpecifiedTests=false";
  const found = project.found("maven", {
    setup: [
      project.setup("maven", `${mvn} dependency:go-offline && ${mvn} ${resolve}`, undefined, {
        name: "mvn dependency:go-offline",
      }),
    ],
    build: [command("mvn test-compile", `${mvn} -o test-compile`, buildTimeoutSeconds)],
    environmentPaths: ["target", ...moduleTargets(project, /\/pom\.xml$/, "target")],
    homeCaches: [".m2/repository", ".m2/wrapper"],
  });
  if (/<artifactId>spotless-maven-plugin</.test(pom)) {
    found.format.push({
      name: "spotless",
      check: command("spotless:check", `${mvn} -o spotless:check`, 300),
      write: command("spotless:apply", `${mvn} -o spotless:apply`, 300),
    });
  }
  if (project.some(/(?:^|\/)src\/test\//)) {
    const reports = { kind: "junit", path: "**/target/surefire-reports/TEST-*.xml", from: "tree" } as const;
    found.test.push(command("mvn test", `${mvn} -o test`, testTimeoutSeconds, { reports }));
  }
  return found;
}

// Resolves every configuration, those of the tests' run time too, which no task of Gradle does without running tests.
const resolveAll =
  "allprojects { tasks.register('millwrightResolve') { doLast { configurations.findAll { it.canBeResolved }.each { c -> try { c.resolve() } catch (Exception e) { println e.message } } } } }";

/** Detects Gradle projects (Groovy and Kotlin), with their wrapper where there is one. */
export async function detectGradle(project: Project): Promise<FoundCommands | undefined> {
  const script = project.firstOf("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts");
  if (script === undefined) return undefined;
  const gradle = `${project.has("gradlew") ? "sh ./gradlew" : "gradle"} --no-daemon --console=plain`;
  const text = await project.text(script);
  const command = (name: string, run: string, timeoutSeconds: number, more: Partial<Command> = {}) =>
    project.command("gradle", name, run, { timeoutSeconds, ...more });
  const init = `"\${TMPDIR:-/tmp}/millwright.init.gradle"`;
  const setup = `printf '%s' "${resolveAll}" > ${init} && ${gradle} --init-script ${init} millwrightResolve testClasses`;
  const found = project.found("gradle", {
    setup: [project.setup("gradle", setup, undefined, { name: "gradle resolve" })],
    build: [command("gradle testClasses", `${gradle} --offline classes testClasses`, buildTimeoutSeconds)],
    environmentPaths: ["build", ".gradle", ...moduleTargets(project, /\/build\.gradle(?:\.kts)?$/, "build")],
    homeCaches: [".gradle/caches", ".gradle/wrapper"],
  });
  if (/\bspotless\b/.test(text)) {
    found.format.push({
      name: "spotless",
      check: command("spotlessCheck", `${gradle} --offline spotlessCheck`, 300),
      write: command("spotlessApply", `${gradle} --offline spotlessApply`, 300),
    });
  }
  if (project.some(/(?:^|\/)src\/\w*[tT]est\//)) {
    const reports = { kind: "junit", path: "**/build/test-results/**/TEST-*.xml", from: "tree" } as const;
    found.test.push(command("gradle test", `${gradle} --offline test --continue`, testTimeoutSeconds, { reports }));
  }
  return found;
}

/** Detects .NET solutions and projects. */
export async function detectDotnet(project: Project): Promise<FoundCommands | undefined> {
  const entry =
    project.files.find((path) => /^[^/]+\.slnx?$/.test(path)) ??
    project.files.find((path) => /^[^/]+\.(?:cs|fs|vb)proj$/.test(path));
  if (entry === undefined) return undefined;
  const environment = { DOTNET_CLI_TELEMETRY_OPTOUT: "1", DOTNET_NOLOGO: "1" };
  const command = (name: string, run: string, timeoutSeconds = 300, more: Partial<Command> = {}) =>
    project.command("dotnet", name, run, { environment, timeoutSeconds, ...more });
  const locked = project.some(/(?:^|\/)packages\.lock\.json$/) ? " --locked-mode" : "";
  const found = project.found("dotnet", {
    setup: [project.setup("dotnet", `dotnet restore${locked}`, undefined, { environment })],
    build: [command("dotnet build", "dotnet build --no-restore", buildTimeoutSeconds)],
    environmentPaths: [
      "bin",
      "obj",
      ...moduleTargets(project, /\/[^/]+\.(?:cs|fs|vb)proj$/, "bin"),
      ...moduleTargets(project, /\/[^/]+\.(?:cs|fs|vb)proj$/, "obj"),
    ],
    homeCaches: [".nuget/packages", ".local/share/NuGet"],
  });
  if (project.has(".editorconfig")) {
    found.format.push({
      name: "dotnet format",
      check: command("dotnet format (check)", "dotnet format --no-restore --verify-no-changes"),
      write: command("dotnet format", "dotnet format --no-restore"),
      writeFiles: { run: "dotnet format --no-restore --include", extensions: [".cs", ".vb"] },
    });
  }
  if (await project.anyContains(/proj$/, /Microsoft\.NET\.Test\.Sdk|\b(?:xunit|NUnit|MSTest)\b/i)) {
    const results = reportPath("");
    const run = `dotnet test --no-restore --logger trx --logger "console;verbosity=normal" --results-directory ${results}`;
    found.test.push(
      command("dotnet test", run, testTimeoutSeconds, { reports: { kind: "trx", path: "*.trx", from: "reports" } }),
    );
  }
  return found;
}

function moduleTargets(project: Project, manifest: RegExp, name: string): string[] {
  const modules = project.files.filter((path) => manifest.test(path)).slice(0, 200);
  return [...new Set(modules.map((path) => `${path.slice(0, path.lastIndexOf("/"))}/${name}`))];
}
