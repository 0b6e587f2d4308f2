import { describe, expect, it } from "vitest";
import type { FileChange } from "../../src/policy/change.ts";
import { findTestTampering } from "../../src/policy/test-tamper.ts";
import { processorMs } from "../support/processor-time.ts";

function modified(path: string, oldText: string, newText: string): FileChange {
  return { path, status: "modified", kind: "file", oldText, newText, sizeBytes: newText.length };
}

function rules(...files: FileChange[]): string[] {
  return findTestTampering(files)
    .filter((finding) => finding.severity === "draft")
    .map((finding) => finding.rule);
}

interface Language {
  name: string;
  path: string;
  /** Two tests `adds` and `fails`, with exact assertions. */
  whole: string;
  violations: [rule: string, text: string][];
  innocent: [name: string, text: string][];
}

const languages: Language[] = [
  {
    name: "JavaScript",
    path: "src/sum.test.ts",
    whole: `import { it } from "vitest";\ndescribe("sum", () => {\n  it("adds", () => {\n    expect(sum(1, 2)).toBe(3);\n    expect(sum(0.1, 0.2)).toBeCloseTo(0.3, 5);\n  });\n  it("fails", () => {\n    expect(() => sum()).toThrow("two numbers");\n  });\n});\n`,
    violations: [
      [
        "test-removed",
        `describe("sum", () => {\n  it("adds", () => {\n    expect(sum(1, 2)).toBe(3);\n    expect(sum(0.1, 0.2)).toBeCloseTo(0.3, 5);\n  });\n});\n`,
      ],
      [
        "test-removed",
        `describe("sum", () => {\n  it("adds", () => {\n    expect(sum(1, 2)).toBe(3);\n    expect(sum(0.1, 0.2)).toBeCloseTo(0.3, 5);\n  });\n  // it("fails", () => { expect(() => sum()).toThrow("two numbers"); });\n});\n`,
      ],
      ["test-skipped", 's/it("fails"/it.skip("fails"/'],
      ["test-skipped", 's/it("fails"/xit("fails"/'],
      ["test-skipped", 's/it("fails"/it.todo("fails"/'],
      ["test-skipped", 's/it("fails"/it.skipIf(true)("fails"/'],
      ["test-skipped", 's/describe("sum"/describe.skip("sum"/'],
      ["test-skipped", 's/it("fails", /it("fails", { skip: true }, /'],
      ["test-skipped", 's/it("fails", () => {/it("fails", (t) => { t.skip();/'],
      ["test-focused", 's/it("adds"/it.only("adds"/'],
      ["assertion-removed", "s/    expect(sum(1, 2)).toBe(3);\n//"],
      ["assertion-removed", "s/    expect(sum(1, 2)).toBe(3);/    \\/\\/ expect(sum(1, 2)).toBe(3);/"],
      ["assertion-loosened", "s/.toBe(3)/.toBeTruthy()/"],
      ["assertion-loosened", "s/.toBe(3)/.toBeDefined()/"],
      ["assertion-loosened", "s/.toBe(3)/.toEqual(expect.anything())/"],
      ["assertion-loosened", "s/.toBe(3)/.not.toBe(4)/"],
      ["assertion-loosened", 's/.toThrow("two numbers")/.toThrow()/'],
      ["assertion-trivial", "s/expect(sum(1, 2)).toBe(3)/expect(true).toBe(true)/"],
      ["assertion-trivial", "s/expect(sum(1, 2))/expect(sum(1, 2) || true)/"],
      ["tolerance-widened", "s/0.3, 5)/0.3, 1)/"],
      ["failure-swallowed", "s/    expect(sum(1, 2)).toBe(3);/    try { expect(sum(1, 2)).toBe(3); } catch {}/"],
    ],
    innocent: [
      ["another expected value", "s/.toBe(3)/.toBe(4)/"],
      ["a stricter matcher", 's/.toThrow("two numbers")/.toThrowError("two numbers")/'],
      ["a renamed test", 's/it("fails"/it("throws"/'],
      ["a comment that says skip", 's/it("fails"/\\/\\/ it.skip("fails")\n  it("fails"/'],
      ["a string that says skip", 's/it("fails", () => {/it("fails", () => { log("it.skip(1) || true");/'],
      ["a group around it", 's/  it("fails"/  describe("errors", () => {}); it("fails"/'],
      ["a further test", 's/  it("fails"/  it("more", () => { expect(sum(2, 2)).toBe(4); });\n  it("fails"/'],
    ],
  },
  {
    name: "Python",
    path: "tests/test_sum.py",
    whole: `import pytest\n\n\ndef test_adds():\n    assert sum(1, 2) == 3\n    assert sum(0.1, 0.2) == pytest.approx(0.3, abs=1e-6)\n\n\nclass TestFails:\n    def test_fails(self):\n        with pytest.raises(ValueError):\n            sum(None)\n`,
    violations: [
      ["test-removed", "s/def test_fails/def fails/"],
      ["test-skipped", 's/def test_adds/@pytest.mark.skip(reason="flaky")\ndef test_adds/'],
      ["test-skipped", 's/def test_adds/@pytest.mark.skipif(\n    True,\n    reason="flaky",\n)\ndef test_adds/'],
      ["test-skipped", "s/def test_adds/@pytest.mark.xfail\ndef test_adds/"],
      ["test-skipped", 's/class TestFails/@unittest.skip("later")\nclass TestFails/'],
      ["test-skipped", 's/        with pytest/        pytest.skip("later")\n        with pytest/'],
      ["test-skipped", "s/import pytest\n/import pytest\n\npytestmark = pytest.mark.skip\n/"],
      ["assertion-removed", "s/    assert sum(1, 2) == 3\n//"],
      ["assertion-removed", "s/    assert sum(1, 2) == 3/    # assert sum(1, 2) == 3/"],
      ["assertion-loosened", "s/assert sum(1, 2) == 3/assert sum(1, 2)/"],
      ["assertion-loosened", "s/assert sum(1, 2) == 3/assert sum(1, 2) is not None/"],
      ["assertion-loosened", "s/raises(ValueError)/raises(Exception)/"],
      ["assertion-trivial", "s/assert sum(1, 2) == 3/assert True/"],
      ["assertion-trivial", "s/assert sum(1, 2) == 3/assert sum(1, 2) == 3 or True/"],
      ["tolerance-widened", "s/1e-6/0.5/"],
      [
        "failure-swallowed",
        "s/    assert sum(1, 2) == 3/    try:\n        assert sum(1, 2) == 3\n    except AssertionError:\n        pass/",
      ],
    ],
    innocent: [
      ["another expected value", "s/== 3\n/== 4\n/"],
      ["a comment that says skip", "s/def test_adds/# @pytest.mark.skip\ndef test_adds/"],
      [
        "a string over lines",
        's/    assert sum(1, 2) == 3/    """\n    pytest.skip(1)\n    """\n    assert sum(1, 2) == 3/',
      ],
      ["parameters", 's/def test_adds/@pytest.mark.parametrize("a", [1, 2])\ndef test_adds/'],
      ["a renamed test", "s/test_adds/test_adds_numbers/"],
      ["a helper", "s/def test_adds/def helper():\n    return 1\n\n\ndef test_adds/"],
    ],
  },
  {
    name: "unittest",
    path: "tests/test_more.py",
    whole: `class SumTest(unittest.TestCase):\n    def test_adds(self):\n        self.assertEqual(sum(1, 2), 3)\n        self.assertAlmostEqual(x, 0.3, places=7)\n`,
    violations: [
      ["assertion-loosened", "s/assertEqual(sum(1, 2), 3)/assertTrue(sum(1, 2))/"],
      ["assertion-loosened", "s/assertEqual(sum(1, 2), 3)/assertIsNotNone(sum(1, 2))/"],
      ["tolerance-widened", "s/places=7/places=1/"],
      ["test-skipped", 's/        self.assertEqual/        self.skipTest("x")\n        self.assertEqual/'],
    ],
    innocent: [["another exact assertion", "s/assertEqual(sum(1, 2), 3)/assertListEqual(sum(1, 2), [3])/"]],
  },
  {
    name: "Go",
    path: "sum_test.go",
    whole: `package sum\n\nfunc TestAdds(t *testing.T) {\n\tif got := Sum(1, 2); got != 3 {\n\t\tt.Errorf("got %d", got)\n\t}\n\tassert.Equal(t, 3, Sum(1, 2))\n\tt.Run("fails", func(t *testing.T) {\n\t\trequire.EqualError(t, Fail(), "x")\n\t})\n}\n`,
    violations: [
      ["test-removed", "s/func TestAdds/func adds/"],
      ["test-skipped", 's/\tif got/\tt.Skip("later")\n\tif got/'],
      ["test-skipped", "s/\tif got/\tt.SkipNow()\n\tif got/"],
      ["test-skipped", "s/package sum\n/\\/\\/go:build ignore\n\npackage sum\n/"],
      ["assertion-removed", 's/\t\tt.Errorf("got %d", got)/\t\tt.Logf("got %d", got)/'],
      ["assertion-loosened", "s/assert.Equal(t, 3, Sum(1, 2))/assert.NotNil(t, Sum(1, 2))/"],
      ["assertion-loosened", 's/EqualError(t, Fail(), "x")/Error(t, Fail())/'],
      ["assertion-trivial", "s/assert.Equal(t, 3, Sum(1, 2))/assert.True(t, true)/"],
    ],
    innocent: [
      ["another expected value", "s/t, 3,/t, 4,/"],
      ["a comment that says skip", "s/\tif got/\t\\/\\/ t.Skip()\n\tif got/"],
      ["a raw string", 's/\tif got/\tconst s = `t.Skip() "`\n\tif got/'],
    ],
  },
  {
    name: "Java",
    path: "src/test/java/SumTest.java",
    whole: `class SumTest {\n  @Test\n  void adds() {\n    assertEquals(3, sum(1, 2));\n    assertThat(sum(1, 2)).isEqualTo(3);\n    assertEquals(0.3, half(), 0.001);\n  }\n\n  @ParameterizedTest\n  @ValueSource(ints = {1, 2})\n  void fails(int n) {\n    assertThrows(IllegalArgumentException.class, () -> sum());\n  }\n}\n`,
    violations: [
      ["test-removed", "s/  @ParameterizedTest\n  @ValueSource(ints = {1, 2})\n//"],
      ["test-skipped", 's/  @Test\n/  @Disabled("later")\n  @Test\n/'],
      ["test-skipped", "s/class SumTest/@Ignore\nclass SumTest/"],
      ["test-skipped", "s/    assertEquals(3/    assumeTrue(false);\n    assertEquals(3/"],
      ["assertion-removed", "s/    assertEquals(3, sum(1, 2));\n//"],
      ["assertion-loosened", "s/assertEquals(3, sum(1, 2))/assertNotNull(sum(1, 2))/"],
      ["assertion-loosened", "s/.isEqualTo(3)/.isNotNull()/"],
      ["assertion-loosened", "s/IllegalArgumentException.class/Exception.class/"],
      ["assertion-trivial", "s/assertEquals(3, sum(1, 2))/assertTrue(true)/"],
      ["tolerance-widened", "s/0.001/0.5/"],
      [
        "failure-swallowed",
        "s/    assertEquals(3, sum(1, 2));/    try { assertEquals(3, sum(1, 2)); } catch (AssertionError e) { }/",
      ],
    ],
    innocent: [
      ["another expected value", "s/(3, sum/(4, sum/"],
      ["a comment that says so", "s/  @Test\n/  \\/\\/ @Disabled\n  @Test\n/"],
      ["a message", 's/sum(1, 2));\n/sum(1, 2), "@Disabled");\n/'],
    ],
  },
  {
    name: "Kotlin",
    path: "src/test/kotlin/SumTest.kt",
    whole: "class SumTest {\n  @Test\n  fun `adds numbers`() {\n    assertEquals(3, sum(1, 2))\n  }\n}\n",
    violations: [
      ["test-skipped", "s/  @Test\n/  @Test\n  @Disabled\n/"],
      ["assertion-loosened", "s/assertEquals(3, sum(1, 2))/assertNotNull(sum(1, 2))/"],
      ["test-removed", "s/  @Test\n//"],
    ],
    innocent: [["another expected value", "s/(3,/(4,/"]],
  },
  {
    name: "Rust",
    path: "src/sum.rs",
    whole: `pub fn sum<'a>(a: &'a i32) -> i32 { *a }\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(sum(&1), 1);\n        assert!(sum(&2) == 2);\n    }\n\n    #[test]\n    #[should_panic(expected = "x")]\n    fn fails() {\n        sum(&0);\n    }\n}\n`,
    violations: [
      ["test-removed", "s/    #[test]\n    fn adds/    fn adds/"],
      ["test-skipped", "s/    #[test]\n    fn adds/    #[test]\n    #[ignore]\n    fn adds/"],
      ["test-skipped", 's/    #[test]\n    fn adds/    #[test]\n    #[ignore = "slow"]\n    fn adds/'],
      ["assertion-removed", "s/        assert_eq!(sum(&1), 1);\n//"],
      ["assertion-loosened", "s/assert_eq!(sum(&1), 1)/assert!(sum(&1) > 0)/"],
      ["assertion-loosened", "s/assert_eq!(sum(&1), 1)/assert_ne!(sum(&1), 9)/"],
      ["assertion-trivial", "s/assert_eq!(sum(&1), 1)/assert!(true)/"],
    ],
    innocent: [
      ["another expected value", "s/(sum(&1), 1)/(sum(&1), 2)/"],
      ["a comment that says ignore", "s/    fn adds/    \\/\\/ #[ignore]\n    fn adds/"],
      [
        "a char and a raw string",
        's/        assert_eq/        let c = \'"\'; let s = r#"#[ignore] ""#;\n        assert_eq/',
      ],
      ["code outside of the tests", "s/{ *a }/{ *a + 0 }/"],
    ],
  },
  {
    name: "Ruby",
    path: "spec/sum_spec.rb",
    whole: `RSpec.describe Sum do\n  it "adds" do\n    expect(sum(1, 2)).to eq(3)\n    expect(sum(2, 2)).to eq 4\n  end\n\n  it "fails" do\n    expect { sum }.to raise_error(ArgumentError)\n  end\nend\n`,
    violations: [
      [
        "test-removed",
        `RSpec.describe Sum do\n  it "adds" do\n    expect(sum(1, 2)).to eq(3)\n    expect(sum(2, 2)).to eq 4\n  end\nend\n`,
      ],
      ["test-skipped", 's/  it "fails"/  xit "fails"/'],
      ["test-skipped", 's/it "fails" do/it "fails", skip: true do/'],
      ["test-skipped", 's/it "fails" do/it "fails", :skip do/'],
      ["test-skipped", 's/it "fails" do/it "fails" do\n    pending "later"/'],
      ["test-skipped", "s/RSpec.describe/RSpec.xdescribe/"],
      ["assertion-removed", "s/    expect(sum(1, 2)).to eq(3)\n//"],
      ["assertion-loosened", "s/.to eq(3)/.to be_truthy/"],
      ["assertion-loosened", "s/.to eq(3)/.not_to eq(4)/"],
      [
        "failure-swallowed",
        "s/    expect(sum(2, 2)).to eq 4/    begin\n      expect(sum(2, 2)).to eq 4\n    rescue StandardError\n    end/",
      ],
    ],
    innocent: [
      ["another expected value", "s/eq(3)/eq(5)/"],
      ["a comment", 's/  it "fails"/  # xit "fails"\n  it "fails"/'],
    ],
  },
  {
    name: "minitest",
    path: "test/sum_test.rb",
    whole: `class SumTest < Minitest::Test\n  def test_adds\n    assert_equal 3, sum(1, 2)\n  end\nend\n`,
    violations: [
      ["test-skipped", 's/    assert_equal/    skip "later"\n    assert_equal/'],
      ["assertion-loosened", "s/assert_equal 3, sum(1, 2)/assert sum(1, 2)/"],
      ["test-removed", "s/def test_adds/def adds/"],
    ],
    innocent: [["another expected value", "s/assert_equal 3/assert_equal 4/"]],
  },
];

/** `s/old/new/`, with `\/` for a slash; anything else is the whole text. */
function apply(whole: string, edit: string): string {
  if (!edit.startsWith("s/")) return edit;
  const [, from, to] = edit.split(/(?<!\\)\//).map((part) => part.replaceAll("\\/", "/"));
  if (!whole.includes(from!)) throw new Error(`The sample does not contain ${JSON.stringify(from)}`);
  return whole.replace(from!, () => to!);
}

describe.each(languages)("findTestTampering in $name", ({ path, whole, violations, innocent }) => {
  it.each(violations)("finds %s: %j", (rule, edit) => {
    expect(rules(modified(path, whole, apply(whole, edit)))).toContain(rule);
  });

  it.each(innocent)("lets %s pass", (_, edit) => {
    expect(findTestTampering([modified(path, whole, apply(whole, edit))])).toEqual([]);
  });

  it("finds the deletion of the file, but not its move", () => {
    const gone: FileChange = { path, status: "deleted", kind: "file", oldText: whole, sizeBytes: whole.length };
    const elsewhere = path.replace(/([^/]+)$/, (name) => (path.includes("/") ? `moved/${name}` : `moved/${name}`));
    const came: FileChange = {
      path: elsewhere,
      status: "added",
      kind: "file",
      newText: whole,
      sizeBytes: whole.length,
    };
    const renamed: FileChange = {
      path: elsewhere,
      previousPath: path,
      status: "renamed",
      kind: "file",
      oldText: whole,
      newText: whole,
      sizeBytes: whole.length,
    };
    expect(rules(gone)).toContain("test-file-deleted");
    expect(rules(gone, came)).toEqual([]);
    expect(rules(renamed)).toEqual([]);
  });
});

describe("findTestTampering", () => {
  it("finds a test file that is renamed so that no runner finds it", () => {
    const { whole } = languages[0]!;
    const file: FileChange = {
      path: "src/sum.old.ts",
      previousPath: "src/sum.test.ts",
      status: "renamed",
      kind: "file",
      oldText: whole,
      newText: whole,
      sizeBytes: 1,
    };
    expect(rules(file)).toEqual(["test-file-deleted"]);
  });

  it.each<[string, string, string, string]>([
    ["test-command", "package.json", '{"scripts":{"test":"vitest run"}}', '{"scripts":{"test":"vitest run || true"}}'],
    ["test-command", "package.json", '{"scripts":{"test":"vitest run"}}', '{"scripts":{"test":"exit 0"}}'],
    ["test-command", "package.json", '{"scripts":{"test":"vitest run"}}', '{"scripts":{"test":"echo ok"}}'],
    ["test-command", "package.json", '{"scripts":{"test":"vitest run"}}', '{"scripts":{}}'],
    [
      "test-configuration",
      "package.json",
      '{"scripts":{"test":"vitest run"}}',
      '{"scripts":{"test":"vitest run --passWithNoTests"}}',
    ],
    ["test-configuration", "package.json", '{"jest":{}}', '{"jest":{"testPathIgnorePatterns":["sum"]}}'],
    [
      "test-configuration",
      "vitest.config.ts",
      "export default { test: {} }",
      'export default { test: { exclude: ["test/sum.test.ts"] } }',
    ],
    ["test-configuration", "jest.config.js", "module.exports = {}", 'module.exports = { testNamePattern: "adds" }'],
    ["test-configuration", "pytest.ini", "[pytest]\naddopts = -q\n", '[pytest]\naddopts = -q -k "not sum"\n'],
    [
      "test-configuration",
      "pyproject.toml",
      "[tool.pytest.ini_options]\n",
      '[tool.pytest.ini_options]\naddopts = "--ignore=tests/test_sum.py"\n',
    ],
    ["test-configuration", "tests/conftest.py", "", 'collect_ignore = ["test_sum.py"]\n'],
    ["test-configuration", "pom.xml", "<a></a>", "<a><skipTests>true</skipTests></a>"],
    ["test-configuration", "build.gradle", "test { }", "test { ignoreFailures = true }"],
    ["test-configuration", "Cargo.toml", "[lib]\n", "[lib]\ntest = false\n"],
    ["test-configuration", ".mocharc.json", "{}", '{"retries": 3}'],
    [
      "coverage-threshold",
      "vitest.config.ts",
      "coverage: { thresholds: { lines: 90, branches: 80 } }",
      "coverage: { thresholds: { lines: 50, branches: 80 } }",
    ],
    ["coverage-threshold", "jest.config.js", "coverageThreshold: { global: { lines: 90 } }", "coverageReporters: []"],
    ["coverage-threshold", ".coveragerc", "[report]\n# coverage\nfail_under = 90\n", "[report]\nfail_under = 10\n"],
    ["test-command", "Makefile", "test:\n\tpytest\n", "test:\n\tpytest || true\n"],
    ["test-command", "Makefile", "test:\n\tpytest\n", "test:\n\t@echo ok\n"],
    ["test-command", "Makefile", "test:\n\tpytest\n", "test:\n\t-pytest\n"],
  ])("finds %s in %s", (rule, path, before, after) => {
    expect(rules(modified(path, before, after))).toContain(rule);
    expect(findTestTampering([modified(path, after, after)])).toEqual([]);
  });

  it.each<[string, string, string]>([
    [
      "package.json",
      '{"scripts":{"test":"jest"},"version":"1.0.0"}',
      '{"scripts":{"test":"vitest run"},"version":"1.0.1"}',
    ],
    [
      "package.json",
      '{"scripts":{"test":"jest","start":"node a"}}',
      '{"scripts":{"test":"jest","start":"node b || true"}}',
    ],
    ["vitest.config.ts", "export default {}", "// exclude: test/sum.test.ts\nexport default {}"],
    ["vitest.config.ts", "coverage: { thresholds: { lines: 90 } }", "coverage: { thresholds: { lines: 95 } }"],
    ["pyproject.toml", '[project]\nversion = "1"\n', '[project]\nversion = "2"\ndependencies = ["a"]\n'],
    ["Makefile", "test:\n\tpytest\n", "test:\n\tpytest -q\n\nlint:\n\truff || true\n"],
    ["src/exclude.ts", "", 'const exclude = ["test"]; const retries = 3;'],
  ])("lets an ordinary change of %s pass", (path, before, after) => {
    expect(findTestTampering([modified(path, before, after)])).toEqual([]);
  });

  it("finds snapshots that were changed without a test", () => {
    const snapshot = modified("src/__snapshots__/a.test.ts.snap", "a", "b");
    const { path, whole } = languages[0]!;
    expect(rules(snapshot, modified("src/a.ts", "1", "2"))).toEqual(["snapshot-only"]);
    expect(rules(snapshot, modified(path, whole, `${whole}\n`))).toEqual([]);
    expect(rules({ ...snapshot, status: "added", oldText: undefined })).toEqual([]);
  });

  it("finds a new test that cannot fail, and mentions a new one that is skipped", () => {
    const added = (newText: string): FileChange => ({
      path: "a.test.ts",
      status: "added",
      kind: "file",
      newText,
      sizeBytes: 1,
    });
    expect(rules(added('it("a", () => { expect(true).toBe(true); });'))).toEqual(["assertion-trivial"]);
    expect(findTestTampering([added('it.skip("a", () => { expect(f()).toBe(1); });')])).toMatchObject([
      { rule: "test-skipped", severity: "note" },
    ]);
    expect(findTestTampering([added('it("a", () => { expect(f()).toBe(1); });')])).toEqual([]);
  });

  it("follows a test that moved to another file", () => {
    const test = 'it("moves", () => {\n  expect(f(1)).toBe(1);\n  expect(f(2)).toBe(2);\n});\n';
    const from = modified(
      "a.test.ts",
      `it("stays", () => { expect(1 + g()).toBe(2); });\n${test}`,
      'it("stays", () => { expect(1 + g()).toBe(2); });\n',
    );
    expect(rules(from, modified("b.test.ts", "", test))).toEqual([]);
    expect(rules(from, modified("b.test.ts", "", test.replace("toBe(2)", "toBeTruthy()")))).toEqual([
      "assertion-loosened",
    ]);
    expect(rules(from)).toEqual(["test-removed"]);
  });

  it("takes bounded time on hostile code and never throws", () => {
    for (const [path, bomb] of [
      ["a.test.js", "it("],
      ["a.test.js", 'it("a",()=>{expect(1'],
      ["a.test.js", "expect(a)."],
      ["a.test.js", "/*"],
      ["a.test.js", "`"],
      ["a.test.js", "it.each"],
      ["a.test.js", "it ."],
      ["test_a.py", "def test_a():\n"],
      ["test_a.py", "@a\n"],
      ["test_a.py", "assert a\n"],
      ["test_a.py", '"""'],
      ["a_test.go", "t.Run("],
      ["ATest.java", "@Test void a() {"],
      ["ATest.java", "@A\n"],
      ["ATest.java", "class A "],
      ["a.rs", "#[test]fn a(){"],
      ["a.rs", "fn a<"],
      ["a_spec.rb", "it 'a' do\n"],
      ["a_spec.rb", "rescue\n"],
      ["package.json", "["],
      ["Makefile", "test:\n\t"],
      ["vitest.config.ts", "/*"],
      ["pom.xml", "<exclude>"],
      ["vitest.config.ts", "exclude"],
    ] as const) {
      const text = bomb.repeat(100_000 / bomb.length);
      const start = processorMs();
      expect(() => findTestTampering([modified(path, text, `${text} `)])).not.toThrow();
      expect(processorMs() - start, `${path} ${bomb}`).toBeLessThan(5_000);
    }
  }, 120_000);
});
