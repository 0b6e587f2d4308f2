import { describe, expect, test } from "vitest";
import { codeOwners } from "../../src/policy/code-owners.ts";

/** GitHub's example. https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners#example-of-a-codeowners-file */
const example = `
# This is a comment.
# Each line is a file pattern followed by one or more owners.
*       @global-owner1 @global-owner2

*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats

/build/logs/ @doctocat
docs/* docs@example.com @docs-owner
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat

/apps/ @octocat
/apps/github
`;

describe("codeOwners", () => {
  test.each<[string, string[]]>([
    ["README.md", ["@global-owner1", "@global-owner2"]],
    ["src/deep/in.js", ["@js-owner"]],
    // Owned by an address of e-mail alone, which cannot be mentioned.
    ["main.go", []],
    ["notes/a.txt", ["@octo-org/octocats"]],
    ["build/logs/today/a.md", ["@octocat"]],
    ["docs/getting-started.md", ["@doctocat"]],
    ["docs/build-app/troubleshooting.md", ["@doctocat"]],
    ["scripts/run.sh", ["@doctocat", "@octocat"]],
    ["deeply/nested/logs", ["@octocat"]],
    ["deeply/nested/logs/a.md", ["@octocat"]],
    ["apps/web/index.ts", ["@octocat"]],
    ["packages/apps/index.ts", ["@octocat"]],
    // Without owners a pattern takes them away.
    ["apps/github/index.ts", []],
  ])("codeOwners finds who owns %s in GitHub's example", (path, owners) => {
    expect(codeOwners(example, [path])).toEqual(owners);
  });

  test("codeOwners takes the last pattern that matches, and not the closest", () => {
    const file = "/src/a.ts @closest\n* @everyone\n";
    expect(codeOwners(file, ["src/a.ts"])).toEqual(["@everyone"]);
  });

  test.each<[string, string, boolean]>([
    ["docs/*", "docs/a.md", true],
    ["docs/*", "docs/deeper/a.md", false],
    ["docs/*", "other/docs/a.md", false],
    ["/docs", "docs/deeper/a.md", true],
    ["/docs", "other/docs/a.md", false],
    ["*.ts", ".hidden/a.ts", true],
    ["/src/**/test", "src/a/b/test/c.ts", true],
    ["app/(group)/", "app/(group)/page.tsx", true],
    ["app/(group)/", "app/group/page.tsx", false],
    ["app/[id]/", "app/[id]/page.tsx", true],
    ["app/[id]/", "app/i/page.tsx", false],
    ["a+b.ts", "x/a+b.ts", true],
    ["{a,b}.ts", "a.ts", false],
    ["/a|b", "b", false],
    // GitHub knows neither of them: the line does not count.
    ["!a.ts", "a.ts", false],
    ["[ab].ts", "a.ts", false],
  ])("codeOwners reads %s for %s as GitHub does", (pattern, path, matches) => {
    expect(codeOwners(`${pattern} @owner`, [path])).toEqual(matches ? ["@owner"] : []);
  });

  test("codeOwners names each owner once, in the order of the paths, and only who can be mentioned", () => {
    const file = "/a @two @one <script> @bad!name\n/b @one @org/team\n";
    expect(codeOwners(file, ["b", "a", "a"])).toEqual(["@one", "@org/team", "@two"]);
    expect(codeOwners("", ["a"])).toEqual([]);
  });
});
