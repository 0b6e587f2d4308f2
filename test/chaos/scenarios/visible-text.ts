import fc from "fast-check";
import { visibleText } from "../../../src/policy/visible-text.ts";
import { processorMs } from "../../support/processor-time.ts";
import { analysis, startScenario } from "../../support/scenario.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import { sum } from "../chaos.ts";
import { costlyTexts } from "../support/costly-text.ts";
import { broken, type HostileMarkdown, wellFormed } from "../support/hostile-markdown.ts";
import { isForbidden, readings } from "../support/readings.ts";
import { renderedPage } from "../support/rendered-page.ts";

export const visibleTextScenario: ChaosScenario = {
  name: "visible-text",
  about:
    "generated Markdown, all code points and worst-case texts: what reaches a prompt is what the page shows (figures 5, 6)",
  databases: ["pglite"],
  async run(options) {
    const parts = [
      generated(options, wellFormed(), options.scale === "long" ? 20_000 : 200),
      generated(options, broken(), options.scale === "long" ? 30_000 : 250),
      codeStaysAsItIs(options),
      allCodePoints(options),
      costly(options),
      await wholeRun(),
    ];
    return sum(parts);
  },
};

/** Documents with canaries in every place; an independent renderer decides which of them a reader sees. */
function generated({ seed, say }: ChaosOptions, documents: fc.Arbitrary<HostileMarkdown>, tries: number): Findings {
  let kept = 0;
  const hidden = { left: 0 };
  const result = fc.check(
    fc.property(documents, (document) => {
      const problem = whyNotVisible(document);
      if (problem !== undefined) throw new Error(problem);
      for (const { visible } of document.canaries) {
        if (visible === true) kept += 1;
        else hidden.left += 1;
      }
    }),
    { seed, numRuns: tries },
  );
  say(`${result.numRuns} documents, ${kept} canaries in sight, ${hidden.left} out of sight or uncertain`);
  const problem = result.errorInstance instanceof Error ? result.errorInstance.message : "failed";
  const violations = result.failed ? [`${problem} in ${JSON.stringify(result.counterexample?.[0].markdown)}`] : [];
  return { tries: result.numRuns, lost: 0, duplicated: 0, violations };
}

function whyNotVisible({ markdown, canaries }: HostileMarkdown): string | undefined {
  // What is encoded in what nobody sees is not on the page.
  const page = readings(readings(renderedPage(markdown))[0]!);
  const { text, truncated } = visibleText(markdown);
  const prompt = readings(text);
  for (const { word, visible } of canaries) {
    const onPage = page[0]!.includes(word);
    const inPrompt = prompt[0]!.includes(word);
    // What the page shows encoded, as code does, may be so in the prompt.
    const leaks = prompt.some((reading, index) => reading.includes(word) && !page[index]!.includes(word));
    if (visible !== undefined && onPage !== visible) return `the renderer ${onPage ? "shows" : "hides"} ${word}`;
    if (leaks) return `hidden text ${word} reaches the prompt`;
    if (visible === true && !inPrompt && !truncated) return `visible text ${word} does not reach the prompt`;
  }
  const survivor = Array.from(text).find((character) => isForbidden(character.codePointAt(0)!));
  return survivor === undefined ? undefined : `U+${survivor.codePointAt(0)!.toString(16)} survives as itself`;
}

/** Code of any characters, at any depth of quotes and lists: the same bytes, but for forbidden code points. */
function codeStaysAsItIs({ seed, scale }: ChaosOptions): Findings {
  const character = fc.oneof(
    fc.constantFrom(..."abc <>&\"'`\\|$%[]()!-*_~\t\u00e9\u{1F600}#:=/\u00a0\u2028"),
    fc.constantFrom("\u200b", "\u202e", "\ufeff", "\u00ad", "\ue000", "\u{E0041}", "\u{FE0F}", "\u0007", "\ud800"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
  );
  // An empty line of a list or quote may lose its blanks; a byte order mark at the start of a file is none of the code.
  const line = fc
    .array(character, { minLength: 1, maxLength: 40 })
    .map((all) => `.${all.join("").replace(/[\r\n]/g, "")}.`);
  const code = fc.array(line, { minLength: 1, maxLength: 5 });
  const result = fc.check(
    fc.property(code, fc.nat(2), (lines, container) => {
      const fence = "~".repeat(50);
      const inside = [fence, ...lines, fence].map((each) => ["", "> ", "> > "][container] + each).join("\n");
      const shown = lines.map(shownCode).join("\n");
      const { text } = visibleText(`text\n\n${inside}\n\nend`, { maxBytes: 1_000_000 });
      if (!text.includes(`\n${shown}\n`))
        throw new Error(`${JSON.stringify(text)} instead of ${JSON.stringify(shown)}`);
    }),
    { seed, numRuns: scale === "long" ? 10_000 : 200 },
  );
  const violations = result.failed ? [`code is changed: ${String(result.errorInstance)}`] : [];
  return { tries: result.numRuns, lost: 0, duplicated: 0, violations };
}

/** Every code point, as itself and as an entity, in text, in a link, in a cell, in raw HTML and in three kinds of code. */
function allCodePoints({ scale, say }: ChaosOptions): Findings {
  const violations: string[] = [];
  const survivors = (text: string) => Array.from(text).filter((character) => isForbidden(character.codePointAt(0)!));
  // Few enough at a time that nothing is cut.
  const step = 0x800;
  for (let from = 0; from < 0x110000; from += step) {
    const all = Array.from({ length: step }, (_, index) => String.fromCodePoint(from + index));
    const inText = all
      .filter((character) => !"\n\r<&`\\|[]$".includes(character))
      .map((character) => `a${character}`)
      .join("");
    const entities = all.map((character) => `a&#${character.codePointAt(0)};`).join("");
    const inCode = all
      .filter((character) => !"\n\r`".includes(character))
      .map((character) => `a${character}`)
      .join("");
    const places: [name: string, markdown: string][] = [
      ["text", inText],
      ["an entity", entities],
      ["a link", `[${inText.replace(/[()]/g, "")}](https://a.b)`],
      ["a cell", `| a |\n| - |\n| ${inText} |`],
      ["raw HTML", `<div>\n${inText}\n</div>`],
      ["a heading", `# ${inText}`],
      ["a code span", `\`${inCode}\``],
      ["indented code", `a\n\n    ${inCode}`],
      ["a fence's info", `\`\`\`${inText}\nx\n\`\`\``],
    ];
    for (const [name, markdown] of scale === "long" ? places : places.slice(0, 2)) {
      const { text } = visibleText(markdown, { maxBytes: 1_000_000 });
      const [survivor] = survivors(text);
      if (survivor !== undefined) violations.push(`U+${survivor.codePointAt(0)!.toString(16)} survives in ${name}`);
    }
    const fenced = visibleText(`\`\`\`\n${inCode}\n\`\`\``, { maxBytes: 1_000_000 }).text;
    if (fenced !== `\`\`\`\n${shownCode(inCode)}\n\`\`\``)
      violations.push(`code from U+${from.toString(16)} on is not shown byte for byte`);
    const shown = inText.replace(/./gsu, (character) => (isForbidden(character.codePointAt(0)!) ? "" : character));
    const seen = visibleText(inText, { maxBytes: 1_000_000 }).text;
    if (from >= 0x800 && seen !== shown.trim())
      violations.push(`text from U+${from.toString(16)} on loses what is visible`);
  }
  say(`${0x110000} code points in ${scale === "long" ? 10 : 3} places`);
  return { tries: 0x110000, lost: 0, duplicated: 0, violations };
}

/** Texts of a megabyte: the processor time of the best of a few tries, because the first compiles and the machine is shared. */
function costly({ scale, seed, say }: ChaosOptions): Findings {
  // In short only what takes more than linear time is meant: that takes many seconds, a shared core twice the usual time.
  const limitMs = scale === "long" ? 200 : 2_000;
  const chosen = costlyTexts.filter((_, index) => scale === "long" || (index + seed) % 8 === 0);
  let worst: { name: string; ms: number } = { name: "", ms: 0 };
  const violations: string[] = [];
  for (const [name, makeText] of chosen) {
    const text = makeText();
    let ms = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5 && ms > limitMs / 2; attempt++) {
      const start = processorMs();
      visibleText(text);
      ms = Math.min(ms, processorMs() - start);
    }
    if (ms > worst.ms) worst = { name, ms };
    if (ms > limitMs)
      violations.push(`1 MB of ${JSON.stringify(name)} takes ${ms.toFixed(0)} ms; the limit is ${limitMs} ms`);
  }
  say(`the worst of ${chosen.length} texts of 1 MB is ${JSON.stringify(worst.name)}: ${worst.ms.toFixed(0)} ms`);
  return { tries: chosen.length, lost: 0, duplicated: 0, violations };
}

/** The real App reads an issue, a comment and a linked issue whose hidden places hold canaries: what the model is sent. */
async function wholeRun(): Promise<Findings> {
  const scenario = await startScenario({
    sample: "text-tools",
    model: () => analysis({ doable: "needs-answers", openQuestions: ["Which one?"] }),
  });
  try {
    const { github, name } = scenario;
    const hostile = (where: string) =>
      [
        `seen${where}`,
        `<!-- hid${where}1 -->`,
        `[link](https://host.example/hid${where}2 "hid${where}3") ![hid${where}4](a.png) <b title="hid${where}5">b</b>`,
        `[//]: # (hid${where}6)`,
        Array.from(`hid${where}7`, (character) => String.fromCodePoint(0xe0000 + character.charCodeAt(0))).join(""),
        `\`\`\`hid${where}8\ncode${where}\n\`\`\``,
      ].join("\n\n");
    const linked = scenario.openIssue({ title: "seenltitle <!-- hidl0 -->", body: hostile("l") });
    const number = scenario.openIssue({
      title: "seenititle <!-- hidi0 -->",
      body: `${hostile("i")}\n\nSee #${linked}.`,
    });
    github.as("maintainer").comment(name, number, hostile("c"));
    // Comments count that are older than the trigger, which GitHub dates to the second.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    github.as("maintainer").label(name, number, "agent:builder");
    await scenario.ended(number);
    const sent = readings(
      scenario
        .sentToModel()
        .map(({ body }) => JSON.stringify(body))
        .join("\n"),
    );
    const found = (text: string) => sent.some((reading) => reading.includes(text));
    const leaked = sent.flatMap((reading) => [...reading.matchAll(/hid[lic]\d/g)].map(([word]) => word));
    const missing = ["seenititle", "seeni", "seenc", "codei", "codec", "seenltitle", "seenl"].filter(
      (word) => !found(word),
    );
    const violations = [
      ...new Set(leaked.map((word) => `hidden ${word} was sent to the model`)),
      ...missing.map((word) => `visible ${word} was not sent to the model`),
    ];
    return { tries: 27, lost: 0, duplicated: 0, violations };
  } finally {
    await scenario.close();
  }
}

function shownCode(code: string): string {
  return Array.from(code, (character) => {
    const point = character.codePointAt(0)!;
    return isForbidden(point) ? `\\u{${point.toString(16).toUpperCase()}}` : character;
  }).join("");
}
