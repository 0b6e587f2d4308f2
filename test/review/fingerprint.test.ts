import { describe, expect, it } from "vitest";
import type { Category } from "../../src/review/finding.ts";
import {
  type FreshFinding,
  fingerprintsOf,
  type Head,
  identify,
  isFingerprint,
  type KnownFinding,
  locate,
  recognise,
} from "../../src/review/fingerprint.ts";
import { processorMs } from "../support/processor-time.ts";

const source = `import { query } from "./query.ts";

export async function find(sort: string) {
  const rows = await query("select * from t order by " + sort);
  return rows;
}

export class Store {
  async remove(id: string) {
    if (id === "") return;
    await query("delete from t where id = " + id);
  }

  async removeAll(ids: string[]) {
    for (const id of ids) {
      await query("delete from t where id = " + id);
    }
  }
}
`;

const lineOf = (text: string, part: string, after = "") => {
  const at = text.indexOf(part, text.indexOf(after));
  if (at < 0) throw new Error(`There is no ${part}`);
  return text.slice(0, at).split("\n").length;
};

/** Fingerprint of a finding on the first line with `part` below `after`. */
function fingerprint(
  text: string,
  part: string,
  { after = "", path = "src/a.ts", category = "security" as Category } = {},
) {
  return fingerprintsOf([{ path, category, line: lineOf(text, part, after) }], () => text)[0]!;
}

const partsOf = (text: string) => text.split(".").slice(0, 3).join(".");

describe("fingerprintsOf", () => {
  const first = fingerprint(source, '" + sort');

  it("is the same after lines above and below were changed", () => {
    const shifted = `// One.\n// Two.\n\n${source.replace("return rows;", "return rows.slice(0, 10);")}`;
    expect(fingerprint(shifted, '" + sort')).toBe(first);
  });

  it("is the same after the code was formatted in another way", () => {
    const formatted = source
      .replace(/^ +/gm, (spaces) => "\t".repeat(spaces.length / 2))
      .replace(/"/g, "'")
      .replace(/;$/gm, "")
      .replace("order by ' + sort", "order by '  +  sort")
      .replace(/\n/g, "\r\n");
    expect(formatted).toContain("'  +  sort");
    expect(fingerprint(formatted, "+  sort")).toBe(first);
  });

  it("is the same after the parameters of the function around it were changed", () => {
    const changed = source.replace("find(sort: string)", "find(sort: string, limit = 10)");
    expect(fingerprint(changed, '" + sort')).toBe(first);
  });

  it("is another one when the line, the category, the function or the file differs", () => {
    const others = [
      fingerprint(source.replace('" + sort', '" + escaped(sort)'), "escaped(sort)"),
      fingerprint(source, '" + sort', { category: "performance" }),
      fingerprint(source.replace("function find", "function findAll"), '" + sort'),
      fingerprint(source, '" + sort', { path: "src/b.ts" }),
    ];
    expect(new Set([first, ...others]).size).toBe(5);
  });

  it("tells equal lines of two functions, and equal findings of one function, apart", () => {
    const repeated = source.replace("    await query(", "    await query(id);\n    await query(id);\n    await query(");
    const findings = ["async remove(", "async removeAll("].map((after) => ({
      path: "src/a.ts",
      category: "security" as const,
      line: lineOf(source, "delete from", after),
    }));
    const [one, other] = fingerprintsOf(findings, () => source);
    expect(partsOf(one!)).not.toBe(partsOf(other!));
    const line = lineOf(repeated, "query(id);");
    const twice = [line + 1, line].map((at) => ({ path: "src/a.ts", category: "security" as const, line: at }));
    const [below, above] = fingerprintsOf(twice, () => repeated);
    expect(partsOf(below!)).toBe(partsOf(above!));
    expect(below).not.toBe(above);
    // The order in which findings come does not matter.
    expect(fingerprintsOf(twice.toReversed(), () => repeated)).toEqual([above, below]);
  });

  it("takes an empty line for the next one", () => {
    const spaced = source.replace("    await query(", "\n\n    await query(");
    const line = lineOf(spaced, "delete from");
    const [empty, full] = fingerprintsOf(
      [line - 2, line].map((at) => ({ path: "src/a.ts", category: "security" as const, line: at })),
      () => spaced,
    );
    expect(partsOf(empty!)).toBe(partsOf(full!));
  });

  it("gives a fingerprint that a marker can hold, with and without the file's text", () => {
    const unread = fingerprintsOf([{ path: "a", category: "tests", line: 3 }], () => undefined)[0]!;
    const beyond = fingerprintsOf([{ path: "a", category: "tests", line: 300 }], () => "one")[0]!;
    for (const one of [first, unread, beyond]) expect(isFingerprint(one)).toBe(true);
    expect(isFingerprint("security.0 -->")).toBe(false);
  });
});

describe("locate", () => {
  it("finds the line in the file as it is now", () => {
    const now = `\n\n\n${source}`;
    expect(locate(fingerprint(source, '" + sort'), now)).toBe(7);
  });

  it("finds the one nearest to where it was last seen", () => {
    const equal = Array.from({ length: 9 }, () => "call(x)").join("\n\n");
    const one = fingerprint(equal, "call(x)");
    expect([1, 8, 99].map((near) => locate(one, equal, near))).toEqual([1, 7, 17]);
  });

  it("finds nothing after the line was changed, or where the same line stands in another function", () => {
    const one = fingerprint(source, "delete from", { after: "async remove(" });
    const changed = source.replace('where id = " + id);\n  }\n', 'where id = $1", id);\n  }\n');
    expect(changed).not.toBe(source);
    expect(locate(one, changed)).toBeUndefined();
    expect(locate("no fingerprint", source)).toBeUndefined();
  });

  it("is linear in the file, whatever is repeated in it", () => {
    const lines = 8_000;
    const texts = [
      Array.from({ length: lines }, (_, at) => `${" ".repeat(at % 40)}call(${at}, "${"x".repeat(20)}");`),
      ["function other() {", ...Array.from({ length: lines }, () => "  call(7999);")],
      [...Array.from({ length: lines }, () => ""), "call(7999);"],
      Array.from({ length: lines }, (_, at) => " ".repeat(at % 300)),
    ].map((one) => one.join("\n"));
    const one = fingerprint("function some() {\n  call(7999);\n}", "call");
    const started = processorMs();
    expect(texts.map((text) => locate(one, text))).toEqual([undefined, undefined, undefined, undefined]);
    expect(processorMs() - started).toBeLessThan(5_000);
  });
});

describe("identify", () => {
  const text = "run(x)\n\n\n\nrun(x)\n";
  const head: Head = { exists: () => true, textOf: () => text, previousPath: () => undefined };
  const at = (line: number, title: string) => ({ path: "src/a.ts", category: "tests" as const, line, title });
  const [first] = fingerprintsOf([at(1, "")], head.textOf) as [string];

  it("gives a known finding its fingerprint, and no other one the same", () => {
    const known = [{ fingerprint: first, path: "src/a.ts", line: 5, title: "Wrong argument" }];
    const findings = [at(1, "Missing await"), at(5, "Wrong argument")];
    const identified = identify(findings, known, head);
    expect(identified.map((one) => one.known)).toEqual([undefined, known[0]]);
    expect(identified[1]!.fingerprint).toBe(first);
    expect(identified[0]!.fingerprint).not.toBe(first);
    expect(isFingerprint(identified[0]!.fingerprint)).toBe(true);
  });

  it("gives as many fingerprints as there are findings, whatever is known", () => {
    const findings = [1, 1, 5, 5].map((line) => at(line, "Same"));
    const before = identify(findings, [], head).map(({ fingerprint }) => fingerprint);
    expect(new Set(before).size).toBe(4);
    for (const kept of [before.slice(1), before.slice(2, 3), before.toReversed()]) {
      const known = kept.map((fingerprint, index) => ({ fingerprint, path: "src/a.ts", line: index, title: "Same" }));
      const now = identify(findings, known, head).map(({ fingerprint }) => fingerprint);
      expect(new Set(now).size).toBe(4);
      expect(now).toEqual(expect.arrayContaining(kept));
    }
  });
});

describe("recognise", () => {
  const known = (part: string, extra: Partial<KnownFinding> & { after?: string } = {}): KnownFinding => ({
    fingerprint: fingerprint(source, part, extra),
    path: "src/a.ts",
    line: lineOf(source, part, extra.after),
    title: "SQL injection through the parameter",
    ...extra,
  });
  const headOf = (files: Record<string, string>, renames: Record<string, string> = {}): Head => ({
    exists: (path) => files[path] !== undefined,
    textOf: (path) => files[path],
    previousPath: (path) => renames[path],
  });
  const freshIn = (head: Head, ...findings: Omit<FreshFinding, "fingerprint">[]): FreshFinding[] => {
    const fingerprints = fingerprintsOf(findings, head.textOf);
    return findings.map((finding, at) => ({ ...finding, fingerprint: fingerprints[at]! }));
  };
  const injection = (path: string, line: number, title = "The parameter allows SQL injection") => ({
    path,
    line,
    title,
    category: "security" as const,
  });

  it("knows a finding again after lines were shifted, in other words", () => {
    const now = `\n\n${source}`;
    const head = headOf({ "src/a.ts": now });
    const before = [known('" + sort')];
    expect(
      recognise(before, freshIn(head, injection("src/a.ts", lineOf(now, '" + sort'), "Unsafe query")), head),
    ).toEqual(before);
  });

  it.each([
    ["that git saw", { "lib/b.ts": "src/a.ts" }],
    ["that nothing tells", {}],
  ])("knows a finding again after a rename %s", (_, renames) => {
    const head = headOf({ "lib/b.ts": source }, renames);
    const before = [known('" + sort')];
    const fresh = freshIn(head, injection("lib/b.ts", lineOf(source, '" + sort')));
    expect(fresh[0]!.fingerprint).not.toBe(before[0]!.fingerprint);
    expect(recognise(before, fresh, head)).toEqual(before);
  });

  it("takes the same line in another file for a new finding while the known file is there", () => {
    const head = headOf({ "src/a.ts": source, "src/b.ts": source });
    expect(recognise([known('" + sort')], freshIn(head, injection("src/b.ts", 4)), head)).toEqual([undefined]);
  });

  it("takes a changed line for a new finding", () => {
    const now = source.replace('" + sort', '" + clean(sort)');
    const head = headOf({ "src/a.ts": now });
    expect(recognise([known('" + sort')], freshIn(head, injection("src/a.ts", 4)), head)).toEqual([undefined]);
  });

  it("knows a finding again when only the function around it was renamed, and its title says the same", () => {
    const now = source.replace("function find(", "function search(");
    const head = headOf({ "src/a.ts": now });
    const before = [known('" + sort')];
    const fresh = (title?: string) => freshIn(head, injection("src/a.ts", 4, title));
    expect(recognise(before, fresh(), head)).toEqual(before);
    expect(recognise(before, fresh("Missing limit"), head)).toEqual([undefined]);
  });

  it("knows a finding again under another category when its title says the same", () => {
    const head = headOf({ "src/a.ts": source });
    const before = [known('" + sort')];
    const fresh = (title: string) => freshIn(head, { ...injection("src/a.ts", 4, title), category: "correctness" });
    expect(recognise(before, fresh("The parameter allows SQL injection"), head)).toEqual(before);
    expect(recognise(before, fresh("All rows are read"), head)).toEqual([undefined]);
    const both = [
      ...fresh("SQL injection through the parameter"),
      ...freshIn(head, injection("src/a.ts", 4, "Unsafe")),
    ];
    expect(recognise(before, both, head)).toEqual([undefined, before[0]]);
  });

  it("takes the same line in another function for a new finding while the known one stands where it stood", () => {
    const head = headOf({ "src/a.ts": source });
    const before = [known("delete from", { after: "async remove(" })];
    const fresh = freshIn(head, injection("src/a.ts", lineOf(source, "delete from", "async removeAll(")));
    expect(recognise(before, fresh, head)).toEqual([undefined]);
  });

  it("gives each of two equal findings its own, the nearer one when their titles say the same", () => {
    const text = "run(x)\n\n\n\nrun(x)\n";
    const head = headOf({ "src/a.ts": `\n\n${text}` });
    const lines = [1, 5];
    const fingerprints = fingerprintsOf(
      lines.map((line) => injection("src/a.ts", line)),
      () => text,
    );
    const before = lines.map((line, at) => ({
      fingerprint: fingerprints[at]!,
      path: "src/a.ts",
      line,
      title: "The same title",
    }));
    const fresh = freshIn(head, injection("src/a.ts", 7, "The same title"), injection("src/a.ts", 3, "The same title"));
    expect(recognise(before, fresh, head)).toEqual([before[1], before[0]]);
    expect(recognise(before.slice(0, 1), fresh, head).filter((one) => one !== undefined)).toEqual([before[0]]);
  });

  it("knows by the line which of two equal findings is left, and by their order where both moved", () => {
    const title = "The same title";
    const [one, other] = [injection("src/a.ts", 1, title), injection("src/a.ts", 5, title)];
    const text = "run(x)\n\n\n\nrun(x)\n";
    const fingerprints = fingerprintsOf([one, other], () => text);
    const before = [one, other].map(({ path, line }, at) => ({ fingerprint: fingerprints[at]!, path, line, title }));
    const oneLeft = headOf({ "src/a.ts": "walk(x)\n\n\n\nrun(x)\n" });
    expect(recognise(before, freshIn(oneLeft, other), oneLeft)).toEqual([before[1]]);
    const moved = headOf({ "src/a.ts": `${"//\n".repeat(100)}${text}` });
    const fresh = freshIn(moved, { ...one, line: 101 }, { ...other, line: 105 });
    expect(recognise(before, fresh, moved)).toEqual(before);
  });

  it("prefers the title that says the same over the nearer line", () => {
    const text = "run(x)\n\n\n\nrun(x)\n";
    const head = headOf({ "src/a.ts": text });
    const fresh = freshIn(head, injection("src/a.ts", 1, "Missing await"), injection("src/a.ts", 5, "Wrong argument"));
    const before = ["Wrong argument", "Missing await"].map((title, at) => ({
      fingerprint: fresh[at]!.fingerprint,
      path: "src/a.ts",
      line: [1, 5][at]!,
      title,
    }));
    expect(recognise(before, fresh, head).map((one) => one?.title)).toEqual(["Missing await", "Wrong argument"]);
  });

  it("does not trip over a fingerprint that is none", () => {
    const head = headOf({ "src/a.ts": source });
    const before = [known('" + sort', { fingerprint: "forged" })];
    expect(recognise(before, freshIn(head, injection("src/a.ts", 4)), head)).toEqual([undefined]);
  });
});
