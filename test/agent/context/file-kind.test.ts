import { expect, test } from "vitest";
import { fileKind } from "../../../src/agent/context/file-kind.ts";

test.each([
  ["src/server/parser.ts", "source"],
  ["lib/puma/client.rb", "source"],
  ["pkg/contest.go", "source"],
  ["src/latest.py", "source"],
  ["main.c", "source"],
  ["types/index.d.ts", "source"],
  ["src/guide.ts", "source"],
  ["src/parser.test.ts", "test"],
  ["src/__tests__/parser.ts", "test"],
  ["parser_test.go", "test"],
  ["tests/test_app.py", "test"],
  ["spec/client_spec.rb", "test"],
  ["gson/src/test/java/com/google/ParserTest.java", "test"],
  ["gson/src/main/java/com/google/ParserTest.java", "test"],
  ["crates/core/tests/main.rs", "test"],
  ["playground/css/main.js", "test"],
  ["README.md", "docs"],
  ["docs/conf.py", "docs"],
  ["CHANGELOG", "docs"],
  ["examples/hello/app.js", "example"],
  ["package-lock.json", "generated"],
  ["dist/bundle.js", "generated"],
  ["api/service.pb.go", "generated"],
  ["vendor/github.com/x/y.go", "vendored"],
  ["package.json", "config"],
  [".github/workflows/ci.yml", "config"],
  ["vite.config.ts", "config"],
  ["logo.png", "other"],
])("fileKind %s is %s", (path, kind) => {
  expect(fileKind(path)).toBe(kind);
});
