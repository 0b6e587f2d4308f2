import type { Notice } from "../../src/notify/notice.ts";

/** A notice as the fix of a check files it. */
export const notice: Notice = {
  title: "The check test fails on pull request 7",
  text: "The test `adds` expects **3** and gets 4.\n\n- tried twice\n- not flaky\n\n```ts\nexpect(add(1, 2)).toBe(3);\n  at add.test.ts:4\n```\n\nA person has to decide.",
  url: "https://github.com/acme/mill/pull/7/checks?check_run_id=12&pr=7",
  repository: "acme/mill",
  severity: "problem",
  facts: [
    { name: "Check", value: "test" },
    { name: "Commit", value: "0123456789abcdef0123456789abcdef01234567" },
  ],
};

/** What somebody writes who wants a notice to do more than to be read. */
export const hostile = [
  "<!channel> <@U012345> <https://evil.example|Open on GitHub>",
  "[Open on GitHub](https://evil.example) ![x](https://evil.example/x.png) <at>Everyone</at>",
  '<script>alert(1)</script><img src="https://evil.example/p.gif"> &lt;b&gt;',
  "```\n``` <!here>\n```",
].join("\n");
