import { type Command, reportPath } from "../commands.ts";
import { type FoundCommands, type Project, testTimeoutSeconds } from "./project.ts";

/** Detects Bundler projects: RSpec, Rails, minitest or test-unit by rake; RuboCop or Standard. */
export async function detectBundler(project: Project): Promise<FoundCommands | undefined> {
  const gemfile = project.firstOf("Gemfile", "gems.rb");
  if (gemfile === undefined) return undefined;
  const gems = `${await project.text(gemfile)}\n${await project.text("Gemfile.lock")}\n${await project.text("gems.locked")}`;
  const frozen: Record<string, string> = project.firstOf("Gemfile.lock", "gems.locked")
    ? { BUNDLE_FROZEN: "true" }
    : {};
  const environment = { BUNDLE_PATH: "vendor/bundle", ...frozen };
  const command = (name: string, run: string, more: Partial<Command> = {}) =>
    project.command("bundler", name, run, { environment, ...more });
  const found = project.found("bundler", {
    // Native extensions are compiled while a gem is installed, and the Gemfile itself is Ruby code.
    setup: [project.setup("bundler", "bundle install --jobs 4", undefined, { environment })],
    environmentPaths: ["vendor/bundle", ".bundle"],
    homeCaches: [".bundle/cache", ".gem"],
  });
  const linter = /\bstandard\b/.test(gems) && project.has(".standard.yml") ? "standardrb" : "rubocop";
  if (linter === "standardrb" || (/\brubocop\b/.test(gems) && project.has(".rubocop.yml"))) {
    const fix = linter === "rubocop" ? "rubocop --autocorrect" : "standardrb --fix";
    found.format.push({
      name: linter,
      check: command(`${linter} (check)`, `bundle exec ${linter}`),
      write: command(linter, `bundle exec ${fix}`),
      writeFiles: { run: `bundle exec ${fix}`, extensions: [".rb", ".rake"] },
    });
  }
  const more = { timeoutSeconds: testTimeoutSeconds };
  if (/\brspec\b|\brspec-rails\b/.test(gems) && project.some(/(?:^|\/)spec\/.*_spec\.rb$/)) {
    const reports = { kind: "rspec-json", path: "rspec.json", from: "reports" } as const;
    const run = `bundle exec rspec --format progress --format json --out ${reportPath("rspec.json")}`;
    found.test.push(command("rspec", run, { ...more, reports }));
  } else if (project.has("bin/rails") && project.some(/^test\/.*_test\.rb$/)) {
    found.test.push(command("rails test", "bundle exec rails test", more));
  } else if (project.has("Rakefile") && project.some(/^(?:test|spec)\/.*\.rb$/)) {
    const task = /\b(?:task|TestTask\.new|RakeTask\.new)[ (]+[:"']?(test|spec)\b/.exec(
      await project.text("Rakefile"),
    )?.[1];
    found.test.push(command("rake", `bundle exec rake ${task ?? "test"}`, more));
  }
  return found;
}

/** Detects Composer projects: scripts first, then Pest or PHPUnit. */
export async function detectComposer(project: Project): Promise<FoundCommands | undefined> {
  if (!project.has("composer.json")) return undefined;
  const manifest = readObject(await project.text("composer.json"));
  if (manifest === undefined) return undefined;
  const scripts = asObject(manifest.scripts);
  const packages = { ...asObject(manifest.require), ...asObject(manifest["require-dev"]) };
  const environment = { COMPOSER_DISABLE_NETWORK: "1" };
  const command = (name: string, run: string, more: Partial<Command> = {}) =>
    project.command("composer", name, run, { environment, ...more });
  const script = (name: string) =>
    command(`composer ${name}`, `composer run-script --no-interaction --timeout=0 ${name}`);
  const install = "composer install --no-interaction --no-progress --prefer-dist";
  const found = project.found("composer", {
    setup: [project.setup("composer", install, `${install} --no-scripts --no-plugins`)],
    environmentPaths: ["vendor"],
    homeCaches: [".cache/composer", ".composer/cache"],
  });
  const fixer = project.firstOf(".php-cs-fixer.php", ".php-cs-fixer.dist.php");
  if (fixer !== undefined && "friendsofphp/php-cs-fixer" in packages) {
    found.format.push({
      name: "php-cs-fixer",
      check: command("php-cs-fixer (check)", "vendor/bin/php-cs-fixer fix --dry-run --diff"),
      write: command("php-cs-fixer", "vendor/bin/php-cs-fixer fix"),
    });
  } else if ("laravel/pint" in packages) {
    found.format.push({
      name: "pint",
      check: command("pint (check)", "vendor/bin/pint --test"),
      write: command("pint", "vendor/bin/pint"),
      writeFiles: { run: "vendor/bin/pint", extensions: [".php"] },
    });
  }
  for (const name of ["lint", "phpstan", "psalm", "analyse", "analyze"])
    if (name in scripts) found.lint.push(script(name));
  if (
    found.lint.length === 0 &&
    "phpstan/phpstan" in packages &&
    project.firstOf("phpstan.neon", "phpstan.neon.dist")
  ) {
    found.lint.push(command("phpstan", "vendor/bin/phpstan analyse --no-progress"));
  }
  const runner = "pestphp/pest" in packages ? "pest" : "phpunit";
  const more = { timeoutSeconds: testTimeoutSeconds };
  if ("test" in scripts) found.test.push({ ...script("test"), ...more });
  else if (runner === "pest" || "phpunit/phpunit" in packages || project.firstOf("phpunit.xml", "phpunit.xml.dist")) {
    const reports = { kind: "junit", path: "phpunit.xml", from: "reports" } as const;
    found.test.push(
      command(runner, `vendor/bin/${runner} --log-junit ${reportPath("phpunit.xml")}`, { ...more, reports }),
    );
  }
  return found;
}

/** Detects the targets of a Makefile that are named like checks. */
export async function detectMake(project: Project): Promise<FoundCommands | undefined> {
  const makefile = project.firstOf("Makefile", "makefile", "GNUmakefile");
  if (makefile === undefined) return undefined;
  const targets = new Set<string>();
  for (const line of (await project.text(makefile)).split("\n")) {
    const rule = /^([A-Za-z0-9][A-Za-z0-9_./ -]{0,300}?)\s*::?(?!=)/.exec(line);
    for (const target of rule?.[1]?.split(/\s+/) ?? []) targets.add(target);
  }
  const first = (...names: string[]) => names.filter((name) => targets.has(name)).slice(0, 1);
  const make = (target: string, timeoutSeconds: number) =>
    project.command("make", `make ${target}`, `make ${target}`, { timeoutSeconds });
  const check = first("format-check", "fmt-check", "check-format")[0];
  const write = first("format", "fmt")[0];
  const found = project.found("make", {
    lint: first("lint", "vet").map((target) => make(target, 300)),
    build: first("build", "all").map((target) => make(target, 600)),
    test: first("test", "tests", "check").map((target) => make(target, testTimeoutSeconds)),
  });
  if (check !== undefined || write !== undefined) {
    found.format.push({
      name: `make ${write ?? check}`,
      ...(check === undefined ? {} : { check: make(check, 300) }),
      ...(write === undefined ? {} : { write: make(write, 300) }),
    });
  }
  return found;
}

function readObject(text: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
