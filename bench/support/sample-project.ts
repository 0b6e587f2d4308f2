/**
 * The small project that runs work on: one function, and a test that costs almost no time, so that what is measured is
 * the product and not a test framework's start.
 */
export const sampleProject: Record<string, string> = {
  "README.md": "# Pages\n\nCuts lists into pages.\n",
  "package.json": `${JSON.stringify({ name: "pages", version: "1.0.0", type: "module", private: true }, null, 2)}\n`,
  "src/limits.js":
    "/** Entries on one page. */\nexport const pageLimit = 10;\n\n/** Pages in one answer. */\nexport const answerLimit = 5;\n",
  "src/pages.js":
    'import { pageLimit } from "./limits.js";\n\n/** The entries of page `number`, counted from 0. */\nexport function page(entries, number) {\n  return entries.slice(number * pageLimit, (number + 1) * pageLimit);\n}\n',
  "test/limits.sh":
    '#!/bin/sh\n# One test, in the Test Anything Protocol.\necho "TAP version 13"\necho "1..1"\nif grep -q "pageLimit = 10;" src/limits.js; then\n  echo "ok 1 - the limit of a page"\nelse\n  echo "not ok 1 - the limit of a page"\n  exit 1\nfi\n',
  ".github/millwright.yml":
    "checks:\n  setup: none\n  format: none\n  lint: none\n  build: none\n  test:\n    - sh test/limits.sh\n",
};
