/** What distilLog finds in the outputs of this folder, written down from the outputs: `tool | file:line:column | message`. */
export interface Expected {
  command?: string;
  errors: string[];
  failedTests?: string[];
}

export const expected: Record<string, Expected> = {
  "actions-action.documented": {
    command: "actions/setup-node@v6",
    errors: ["actions |  | Unable to find Node version '99' for platform linux and architecture x64."],
  },
  "actions-matcher.documented": {
    command: "npx tsc --noEmit",
    errors: [
      "tsc | src/cart.ts:4:49 | TS2551: Property 'prise' does not exist on type 'Item'. Did you mean 'price'?",
      "tsc | src/cart.ts:6:7 | TS2322: Type 'string' is not assignable to type 'number'.",
      "tsc | src/cart.ts:7:1 | TS2304: Cannot find name 'missing'.",
    ],
  },
  "actions-test.documented": {
    command: "npm run build\nnpm test -- --run",
    errors: [
      "vitest | other.test.ts:1:1 | Error: Cannot find module './nowhere.ts' imported from /home/runner/work/app/app/other.test.ts",
      "vitest | cart.test.ts:5:27 | AssertionError: expected 3 to be 4 // Object.is equality",
      "vitest | cart.ts:1:49 | TypeError: Cannot read properties of null (reading 'reduce')",
    ],
    failedTests: [
      "other.test.ts > (test file)",
      "cart.test.ts > total > adds the prices",
      "cart.test.ts > total > throws for null",
    ],
  },
  biome: {
    errors: [
      "biome | cart.ts:2:3 | This is an unexpected use of the debugger statement. (lint/suspicious/noDebugger)",
      "biome | cart.ts | File content differs from formatting output",
      "biome | fmt.ts | File content differs from formatting output",
      "biome | list.ts:2:1 | expected `]` but instead the file ends",
      "biome | list.ts | Code formatting aborted due to parsing errors. To format code with errors, enable the 'formatter.formatWithErrors' option.",
    ],
  },
  "cargo-build": {
    errors: [
      "cargo | src/lib.rs:3:31 | cannot add `&str` to `i32` (E0277)",
      "cargo | src/lib.rs:6:5 | cannot find function `missing` in this scope (E0425)",
    ],
  },
  "cargo-test": {
    errors: [
      "cargo | src/lib.rs:16:14 | a price",
      "cargo | src/lib.rs:9:9 | assertion `left == right` failed; left: 3; right: 4",
    ],
    failedTests: ["tests::panics", "tests::adds"],
  },
  clang: {
    errors: [
      "clang | list.c:3:14 | expected ';' at end of declaration",
      "clang | list.c:7:24 | initializing 'char *' with an expression of incompatible type 'double'",
    ],
  },
  "docker-buildkit.documented": {
    command: "npx tsc --noEmit",
    errors: [
      "tsc | src/cart.ts:4:49 | TS2551: Property 'prise' does not exist on type 'Item'. Did you mean 'price'?",
      'docker | Dockerfile:6 | process "/bin/sh -c npx tsc --noEmit" did not complete successfully: exit code: 2',
    ],
  },
  "docker-classic.documented": {
    command: "npm ci",
    errors: [
      "npm |  | EUSAGE: Missing: picomatch@4.0.0 from lock file",
      "docker |  | The command '/bin/sh -c npm ci' returned a non-zero code: 1",
    ],
  },
  "dotnet-build.documented": {
    errors: [
      "dotnet | Shop/Cart.cs:12:20 | CS0103: The name 'summ' does not exist in the current context",
      "dotnet | Shop/Shop.csproj | NU1101: Unable to find package Nowhere. No packages exist with this id in source(s): feed",
      "dotnet |  | CS5001: Program does not contain a static 'Main' method suitable for an entry point",
    ],
  },
  "eslint-compact": {
    errors: [
      "eslint | src/broken.js:2:3 | Parsing error: Unexpected keyword 'return'",
      "eslint | src/list.js:1:8 | 'fs' is defined but never used. (no-unused-vars)",
      "eslint | src/list.js:4:19 | Expected '===' and instead saw '=='. (eqeqeq)",
      "eslint | src/list.js:4:41 | Missing semicolon. (semi)",
      "eslint | src/list.js:5:10 | 'lists' is not defined. (no-undef)",
    ],
  },
  "eslint-stylish": {
    errors: [
      "eslint | src/broken.js:2:3 | Parsing error: Unexpected keyword 'return'",
      "eslint | src/list.js:1:8 | 'fs' is defined but never used (no-unused-vars)",
      "eslint | src/list.js:4:19 | Expected '===' and instead saw '==' (eqeqeq)",
      "eslint | src/list.js:4:41 | Missing semicolon (semi)",
      "eslint | src/list.js:5:10 | 'lists' is not defined (no-undef)",
    ],
  },
  "eslint-unix": {
    errors: [
      "eslint | src/broken.js:2:3 | Parsing error: Unexpected keyword 'return'",
      "eslint | src/list.js:1:8 | 'fs' is defined but never used. (no-unused-vars)",
      "eslint | src/list.js:4:19 | Expected '===' and instead saw '=='. (eqeqeq)",
      "eslint | src/list.js:4:41 | Missing semicolon. (semi)",
      "eslint | src/list.js:5:10 | 'lists' is not defined. (no-undef)",
    ],
  },
  "gcc-link": {
    errors: ["ld | link.c:2 | undefined reference to `missing'"],
  },
  "gcc-make": {
    errors: [
      "gcc | list.c:4:3 | expected ‘,’ or ‘;’ before ‘for’",
      "gcc | list.c:4:19 | ‘i’ undeclared (first use in this function)",
      "gcc | list.c:4:29 | expected ‘;’ before ‘)’ token",
      "gcc | list.c:4:29 | expected statement before ‘)’ token",
      "gcc | list.c:4:38 | ‘itms’ undeclared (first use in this function); did you mean ‘items’?",
      "gcc | list.c:7:28 | incompatible types when initializing type ‘char *’ using type ‘double’",
      "make | Makefile:2 | all: Error 1",
    ],
  },
  gcc: {
    errors: ["gcc | cart.c:2:10 | nowhere.h: No such file or directory"],
  },
  "go-build": {
    errors: ['go | bad/bad.go:3:8 | "os" imported and not used', "go | bad/bad.go:6:9 | undefined: missing"],
  },
  "go-syntax": {
    errors: ["go | bad/bad.go:3:9 | syntax error: unexpected {, expected )"],
  },
  "go-test": {
    errors: [
      "go test | cart_test.go:7 | Total() = 3, want 4",
      "go test | cart_test.go:13 | panic: assignment to entry in nil map [recovered, repanicked]",
    ],
    failedTests: ["example.com/cart > TestTotal", "example.com/cart > TestPanic"],
  },
  "go-vet": {
    errors: ['go | cart.go:13:28 | fmt.Printf format %d has arg "x" of wrong type string'],
  },
  "gradle-compile.documented": {
    errors: [
      "javac | src/main/java/Cart.java:6 | cannot find symbol (symbol: variable summ)",
      "kotlin | src/main/kotlin/Item.kt:3:17 | Unresolved reference 'prise'.",
      "gradle | build.gradle:14 | A problem occurred evaluating root project 'cart'. Could not find method implementatoin() for arguments [org.example:lib:1.0] on object of type DefaultDependencyHandler.",
    ],
  },
  javac: {
    errors: [
      "javac | Cart.java:5 | incompatible types: String cannot be converted to int",
      "javac | Cart.java:6 | cannot find symbol (symbol: variable summ)",
    ],
  },
  jest: {
    errors: [
      "jest | cart.test.js:4:27 | expect(received).toBe(expected) // Object.is equality; Expected: 4; Received: 3",
      "jest | cart.js:1:34 | TypeError: Cannot read properties of null (reading 'reduce')",
      "jest | other.test.js:1:1 | Cannot find module './nowhere.js' from 'other.test.js'",
    ],
    failedTests: [
      "./cart.test.js > total > adds the prices",
      "./cart.test.js > total > throws for null",
      "./other.test.js > (test file)",
    ],
  },
  maven: {
    errors: [
      "maven | src/main/java/Cart.java:5:15 | incompatible types: java.lang.String cannot be converted to int",
      "maven | src/main/java/Cart.java:6:12 | cannot find symbol (symbol: variable summ)",
    ],
  },
  mocha: {
    errors: [
      "mocha | test/cart.js:4:12 | AssertionError [ERR_ASSERTION]: Expected values to be strictly equal: 3 !== 4",
      "mocha | test/cart.js:7:10 | TypeError: Cannot read properties of null (reading 'reduce')",
    ],
    failedTests: ["total > adds the prices", "total > throws for null"],
  },
  "mypy-pretty": {
    errors: [
      'mypy | cart.py:3:25 | Unsupported operand types for + ("int" and "str") [operator]',
      'mypy | cart.py:6:12 | Incompatible return value type (got "int", expected "str") [return-value]',
      'mypy | cart.py:7:5 | Name "undefined_name" is not defined [name-defined]',
    ],
  },
  mypy: {
    errors: [
      'mypy | cart.py:3 | Unsupported operand types for + ("int" and "str") [operator]',
      'mypy | cart.py:6 | Incompatible return value type (got "int", expected "str") [return-value]',
      'mypy | cart.py:7 | Name "undefined_name" is not defined [name-defined]',
    ],
  },
  "node-crash": {
    errors: ["node | nodecrash.js:2:20 | TypeError: Cannot read properties of undefined (reading 'port')"],
  },
  "npm-ci": {
    errors: [
      "npm |  | EUSAGE: `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update your lock file with `npm install` before continuing.; Missing: picomatch@4.0.0 from lock file",
    ],
  },
  "npm-eresolve": {
    errors: [
      'npm |  | ERESOLVE: unable to resolve dependency tree; Found: react@17.0.2; react@"17.0.2" from the root project; Could not resolve dependency:; peer react@"^18.2.0" from react-dom@18.2.0',
    ],
  },
  "npm-etarget": {
    errors: ["npm |  | ETARGET: No matching version found for picomatch@99.0.0."],
  },
  "php-lint": {
    errors: ['php | broken.php:2 | Parse error: syntax error, unexpected token "{", expecting variable'],
  },
  phpunit: {
    errors: [
      "phpunit | tests/CartTest.php:8 | RuntimeException: no price",
      "phpunit | tests/CartTest.php:5 | Failed asserting that 3 is identical to 4.",
    ],
    failedTests: ["CartTest > testThrows", "CartTest > testAdds"],
  },
  pip: {
    errors: ["pip |  | No matching distribution found for pytest==99.99.99"],
  },
  pnpm: {
    errors: ["pnpm |  | ERR_PNPM_NO_MATCHING_VERSION: No matching version found for picomatch@99.0.0"],
  },
  "pytest-collect": {
    errors: ["pytest | test_other.py:1 | ModuleNotFoundError: No module named 'nowhere_module'"],
    failedTests: ["test_other.py > test_other.py"],
  },
  "pytest-short": {
    errors: ["pytest | test_cart.py:8 | assert 3 == 4", "pytest | test_cart.py:12 | ValueError: no label"],
    failedTests: ["test_cart.py > test_adds", "test_cart.py > TestLabel::test_raises"],
  },
  pytest: {
    errors: ["pytest | test_cart.py:8 | assert 3 == 4", "pytest | test_cart.py:12 | ValueError: no label"],
    failedTests: ["test_cart.py > test_adds", "test_cart.py > TestLabel::test_raises"],
  },
  "python-traceback": {
    errors: [
      "python | crash.py:3 | json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ],
  },
  "rspec-load": {
    errors: ["rspec | spec/other_spec.rb:1 | LoadError: cannot load such file -- nowhere"],
  },
  rspec: {
    errors: [
      "rspec | spec/cart_spec.rb:3 | expected: 4 got: 3",
      "rspec | spec/cart_spec.rb:6 | NoMethodError: undefined method `price' for nil:NilClass",
    ],
    failedTests: ["./spec/cart_spec.rb > cart adds the prices", "./spec/cart_spec.rb > cart throws for nil"],
  },
  "ruff-concise": {
    errors: [
      "ruff | broken.py:1:7 | invalid-syntax: Expected a parameter or the end of the parameter list",
      "ruff | broken.py:1:8 | invalid-syntax: Expected `)`, found newline",
      "ruff | cart.py:1:1 | I001 [*] Import block is un-sorted or un-formatted",
      "ruff | cart.py:1:8 | F401 [*] `os` imported but unused",
      "ruff | cart.py:7:5 | F821 Undefined name `undefined_name`",
    ],
  },
  "ruff-format": {
    errors: [
      "ruff | broken.py:1:7 | invalid-syntax: Expected a parameter or the end of the parameter list",
      "ruff | cart.py:2:1 | unformatted: File would be reformatted",
    ],
  },
  ruff: {
    errors: [
      "ruff | broken.py:1:7 | invalid-syntax: Expected a parameter or the end of the parameter list",
      "ruff | broken.py:1:8 | invalid-syntax: Expected `)`, found newline",
      "ruff | cart.py:1:1 | I001 [*] Import block is un-sorted or un-formatted",
      "ruff | cart.py:1:8 | F401 [*] `os` imported but unused",
      "ruff | cart.py:7:5 | F821 Undefined name `undefined_name`",
    ],
  },
  terraform: {
    errors: [
      "terraform | main.tf:2 | Reference to undeclared input variable",
      "terraform | main.tf:5 | Reference to undeclared local value",
    ],
  },
  "tsc-pretty": {
    errors: [
      "tsc | src/cart.ts:4:49 | TS2551: Property 'prise' does not exist on type 'Item'. Did you mean 'price'?",
      "tsc | src/cart.ts:6:7 | TS2322: Type 'string' is not assignable to type 'number'.",
      "tsc | src/cart.ts:7:1 | TS2304: Cannot find name 'missing'.",
    ],
  },
  tsc: {
    errors: [
      "tsc | src/cart.ts:4:49 | TS2551: Property 'prise' does not exist on type 'Item'. Did you mean 'price'?",
      "tsc | src/cart.ts:6:7 | TS2322: Type 'string' is not assignable to type 'number'.",
      "tsc | src/cart.ts:7:1 | TS2304: Cannot find name 'missing'.",
    ],
  },
  "vitest-actions": {
    errors: [
      "vitest | other.test.ts:1:1 | Error: Cannot find module './nowhere.ts' imported from /home/runner/work/app/app/other.test.ts",
      "vitest | cart.test.ts:5:27 | AssertionError: expected 3 to be 4 // Object.is equality",
      "vitest | cart.ts:1:49 | TypeError: Cannot read properties of null (reading 'reduce')",
    ],
    failedTests: [
      "other.test.ts > (test file)",
      "cart.test.ts > total > adds the prices",
      "cart.test.ts > total > throws for null",
    ],
  },
  vitest: {
    errors: [
      "vitest | other.test.ts:1:1 | Error: Cannot find module './nowhere.ts' imported from /home/runner/work/app/app/other.test.ts",
      "vitest | cart.test.ts:5:27 | AssertionError: expected 3 to be 4 // Object.is equality",
      "vitest | cart.ts:1:49 | TypeError: Cannot read properties of null (reading 'reduce')",
    ],
    failedTests: [
      "other.test.ts > (test file)",
      "cart.test.ts > total > adds the prices",
      "cart.test.ts > total > throws for null",
    ],
  },
  "yarn-berry.documented": {
    errors: ["yarn |  | YN0028: The lockfile would have been modified by this install, which is explicitly forbidden."],
  },
  yarn: {
    errors: ['yarn |  | Couldn\'t find any versions for "picomatch" that matches "99.0.0"'],
  },
};
