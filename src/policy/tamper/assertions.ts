import type { Language } from "./language.ts";

/**
 * How much an assertion demands: 3 an exact value, 2 a part or a kind, 1 that there is something, 0 nothing (it holds
 * whatever the code does).
 */
export interface Assertion {
  matcher: string;
  strength: 0 | 1 | 2 | 3;
}

/** The assertions in masked code, in their order. */
export function readAssertions(code: string, language: Language): Assertion[] {
  const found: (Assertion & { at: number })[] = [];
  for (const { pattern, read } of patterns[language]) {
    for (const match of code.matchAll(pattern)) {
      const assertion = read(match, code);
      if (assertion !== undefined) found.push({ ...assertion, at: match.index });
    }
  }
  return found.sort((a, b) => a.at - b.at).map(({ matcher, strength }) => ({ matcher, strength }));
}

/** The largest tolerance of numeric comparisons in masked code; 0 without one. */
export function readTolerances(code: string): number {
  let largest = 0;
  const digits = [
    /\.toBeCloseTo\s*\([^()]*(?:\([^()]*\)[^()]*)*,\s*(-?\d+)\s*\)/g,
    /\b(?:places|decimal)\s*=\s*(\d+)/g,
  ];
  const amounts = [
    /\b(?:abs|rel|delta|atol|rtol|tolerance|epsilon|max_relative)\s*[=:]\s*([\d.]+(?:e-?\d+)?)/gi,
    /\bbe_within\s*\(\s*([\d.]+(?:e-?\d+)?)/g,
    /\b(?:InDelta|InEpsilon|assert_in_delta|assert_in_epsilon|within|offset)\s*\((?:[^()]*,)?\s*([\d.]+(?:e-?\d+)?)f?\s*[,)]/g,
    /\bassertEquals\s*\((?:[^(),]|\([^()]*\))*,(?:[^(),]|\([^()]*\))*,\s*([\d.]+(?:e-?\d+)?)[fd]?\s*\)/g,
  ];
  for (const pattern of digits)
    for (const [, value] of code.matchAll(pattern)) largest = Math.max(largest, 10 ** -Number(value));
  for (const pattern of amounts)
    for (const [, value] of code.matchAll(pattern)) largest = Math.max(largest, Number(value) || 0);
  return largest;
}

interface Pattern {
  pattern: RegExp;
  read(match: RegExpMatchArray, code: string): Assertion | undefined;
}

const literal = /^\s*(?:true|false|True|False|nil|null|None|undefined|-?[\d.]+|"\s*"|'\s*'|!0|!1)\s*$/;
const alwaysTrue = /\|\|\s*(?:true|1|!0)\b|\bor\s+(?:True|true|1)\b/;

const exact =
  /^(?:toBe|toEqual|toStrictEqual|toHaveBeenCalledWith|toHaveBeenLastCalledWith|toHaveBeenNthCalledWith|toHaveBeenCalledTimes|toHaveBeenCalledExactlyOnceWith|toHaveLength|toHaveCount|toHaveText|toHaveValue|toBeNull|toBeUndefined|toBeNaN|toThrowErrorMatchingInlineSnapshot|toMatchInlineSnapshot|toBeTrue|toBeFalse|equal|equals|eql|eq|deep|deepEqual|strictEqual|deepStrictEqual|is|same|notEqual|isEqualTo|isSameAs|containsExactly|containsExactlyInAnyOrder|containsOnly|hasSize|isZero|isNull|isTrue|isFalse|calledWith|calledOnceWith|calledWithExactly|shouldBe|eqv|match_array|contain_exactly|be_nil|be|calledOnceWithExactly|lengthOf|length|Equal|Len|EqualValues|Exactly|ElementsMatch|JSONEq|YAMLEq|EqualError|Nil|True|False|ErrorIs|Empty|Zero|Same)$/;
const loose =
  /^(?:toBeTruthy|toBeFalsy|toBeDefined|anything|any|toHaveBeenCalled|toBeCalled|ok|exist|exists|isOk|isDefined|isNotNull|isNotEmpty|isPresent|notNull|isNotSameAs|toThrow|toThrowError|throws|called|be_truthy|be_falsey|be_present|not_nil|NotNil|NoError|NotEmpty|Error|Truthy|NotZero|NotPanics|truthy|falsy|toExist|toBeVisible|toBeInTheDocument|be_a_kind_of|raise_error|defined|shouldNotBeNull|doesNotThrow|returned|isNotBlank)$/;

function strengthOf(matcher: string, argument: string): 0 | 1 | 2 | 3 {
  if (/\bexpect\s*\.\s*(?:anything|any)\s*\(|\bmock\.ANY\b|\bANY\b|\banything\b/.test(argument) && exact.test(matcher))
    return 1;
  if (exact.test(matcher)) return 3;
  // An exception that is named is more than any exception.
  if (/^(?:toThrow|toThrowError|throws|raise_error)$/.test(matcher) && argument.trim() !== "") return 2;
  return loose.test(matcher) ? 1 : 2;
}

/** The text between the bracket at `open` and its partner, at most 4,000 characters, and the place behind it. */
function argumentsAt(code: string, open: number): { text: string; after: number } {
  let depth = 0;
  const end = Math.min(code.length, open + 4_000);
  for (let at = open; at < end; at++) {
    const character = code[at];
    if (character === "(" || character === "[" || character === "{") depth++;
    else if (character === ")" || character === "]" || character === "}") {
      depth--;
      if (depth === 0) return { text: code.slice(open + 1, at), after: at + 1 };
    }
  }
  return { text: code.slice(open + 1, end), after: end };
}

/** `expect(x).not.toBe(y)`, `assertThat(x).isEqualTo(y)`: the last member that is called counts. */
function chained(match: RegExpMatchArray, code: string): Assertion {
  const subject = argumentsAt(code, match.index! + match[0].length - 1);
  let matcher = "";
  let negated = false;
  let argument = "";
  let at = subject.after;
  const member = /\s*(?:\?\.|\.|::)\s*(`?\w+`?)\s*/y;
  for (let links = 0; links < 20; links++) {
    member.lastIndex = at;
    const link = member.exec(code);
    if (link === null) break;
    at = member.lastIndex;
    if (/^(?:not|not_to|to_not)$/i.test(link[1]!)) negated = true;
    if (
      /^(?:to|not|not_to|to_not|have|be|been|resolves|rejects|and|that|which|with|an?|as|describedAs)$/.test(link[1]!)
    ) {
      const rspec = /(?:\s*\(\s*|\s+)([a-z]\w*[?!]?)(?:\s*\(([^\n]*)|[ \t]+([^\n]*))?/y;
      rspec.lastIndex = at - (/\s$/.test(link[0]) ? 1 : 0);
      const inner = /^(?:to|not_to|to_not)$/.test(link[1]!) ? rspec.exec(code) : null;
      if (inner !== null) [matcher, argument] = [inner[1]!, inner[2] ?? inner[3] ?? ""];
      if (code[at] === "(" && inner === null && /^(?:an?|as|describedAs)$/.test(link[1]!))
        at = argumentsAt(code, at).after;
      continue;
    }
    matcher = link[1]!;
    argument = "";
    if (code[at] === "(") ({ text: argument, after: at } = argumentsAt(code, at));
  }
  const strength = strengthOf(matcher, argument);
  if (matcher === "") return { matcher: "(none)", strength: 0 };
  if (
    (literal.test(subject.text) && literal.test(argument || "true")) ||
    alwaysTrue.test(subject.text) ||
    (subject.text.trim() !== "" &&
      subject.text.trim() === argument.trim() &&
      !subject.text.includes('"') &&
      !subject.text.includes("'"))
  ) {
    return { matcher, strength: 0 };
  }
  // "Not this value" leaves all others.
  return { matcher: negated ? `not.${matcher}` : matcher, strength: negated && strength === 3 ? 1 : strength };
}

/** `assertEqual(a, b)`, `assert.equal(a, b)`, `assert_eq!(a, b)`: the name counts. */
function named(strengthByName: (name: string, argument: string) => 0 | 1 | 2 | 3) {
  return (match: RegExpMatchArray, code: string): Assertion => {
    const name = match[1]!;
    const { text } = argumentsAt(code, match.index! + match[0].length - 1);
    const [first = "", second = ""] = topLevel(text);
    const trivial =
      alwaysTrue.test(text) ||
      (literal.test(first) &&
        (second === "" || literal.test(second) || /^\s*"/.test(second)) &&
        !first.includes('"') &&
        !/fail/i.test(name));
    const same = first.trim() !== "" && first.trim() === second.trim() && /^[\w.\s]+$/.test(first);
    return { matcher: name, strength: trivial || same ? 0 : strengthByName(name, text) };
  };
}

function topLevel(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if ("([{".includes(character)) depth++;
    else if (")]}".includes(character)) depth--;
    else if (character === "," && depth === 0) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return [...parts, text.slice(from)];
}

function byXunitName(name: string, argument: string): 0 | 1 | 2 | 3 {
  const word = name.replace(/^(?:assert|refute|expect|must|verify)_?/i, "");
  if (/^(?:not_?null|not_?nil|is_?not_?none|does_?not_?throw|not_?empty|_?not_?predicate)$/i.test(word)) return 1;
  if (/^(?:true|false|that)?$/i.test(word)) return comparison(argument);
  if (/^(?:not_?|raises?$|throws?$)/i.test(word))
    return /(?:^|[,(])\s*(?:Exception|Throwable|BaseException|StandardError)\b/.test(argument) ? 1 : 2;
  if (
    /equal|same|^is$|^null$|^nil$|none$|array|iterable|lines|eq$|almost|delta|empty$|count|dict|list|zero/i.test(word)
  )
    return 3;
  return 2;
}

/** What a plain condition demands. */
function comparison(condition: string): 0 | 1 | 2 | 3 {
  const first = topLevel(condition)[0] ?? "";
  if (literal.test(first) || alwaysTrue.test(first)) return 0;
  if (/\bis\s+not\s+None\b|!==?\s*(?:null|undefined|nil|None)\b/.test(first)) return 1;
  if (/(?:^|[^=!<>])={2,3}(?!=)|\.equals\s*\(|\bis\s+(?!not\b)|\.eql\?/.test(first)) return 3;
  if (/!=|<|>|\bin\b|contains|includes?\b|matches?\b|startsWith|endsWith/i.test(first)) return 2;
  return 1;
}

const helperCall: Pattern = {
  // A helper of the project's own that says that it asserts.
  pattern: /(?<![\w.$])(?:assert|expect|verify|check|ensure|require|should|must)[A-Z_]\w*\s*(?=\()/g,
  read: (match) => ({ matcher: match[0].trim(), strength: 2 }),
};

const xunit: Pattern = {
  pattern: /(?<![\w$])((?:assert|refute)(?!That\b|_that\b)(?:_?[A-Za-z]\w*)?)\s*\(/g,
  read: named((name, argument) => byXunitName(name, argument)),
};

const fluent: Pattern = {
  pattern:
    /(?<![\w$.])(?:expect|assertThat|assert_that|verify|assertThatThrownBy|assertThatCode|assertSoftly)\s*(?:<[^>()]{0,200}>)?\s*\(/g,
  read: chained,
};

const patterns: Record<Language, Pattern[]> = {
  javascript: [
    { pattern: /(?<![\w$.])expect(?:\s*\.\s*(?:soft|poll))?\s*(?:<[^>()]{0,200}>)?\s*\(/g, read: chained },
    {
      pattern:
        /(?<![\w$.])(?:assert|t|tap)\s*\.\s*((?!(?:skip|todo|test|plan|end|context|log|diagnostic|mock|teardown|after|before|each)\b)\w+)\s*\(/g,
      read: named((name, argument) =>
        /^(?:ok|true|false|truthy)$/.test(name)
          ? comparison(argument)
          : strengthOf(name.replace(/^not(?=[A-Z])/, ""), argument.includes(",") ? argument : ""),
      ),
    },
    { pattern: /(?<![\w$.])(assert)\s*\(/g, read: named((_, argument) => comparison(argument)) },
    { pattern: /\.should\s*(?:\.|\()/g, read: () => ({ matcher: "should", strength: 2 }) },
    helperCall,
  ],
  python: [
    {
      pattern: /(?<=^|[\n;:])[ \t]*assert\b([^\n]*(?:\n[ \t]*(?:and|or|==|\)|,)[^\n]*)*)/g,
      read: (match) => ({
        matcher: "assert",
        strength: /^\s*\(.*,.*\)\s*$/.test(match[1]!) ? 0 : comparison(match[1]!.replace(/^\s*\((.*)\)\s*$/, "$1")),
      }),
    },
    { pattern: /\bself\s*\.\s*(assert\w+|fail\w*)\s*\(/g, read: named(byXunitName) },
    { pattern: /\.\s*(assert_\w+)\s*\(/g, read: named((name) => (/_with$|_once_with$|has_calls/.test(name) ? 3 : 1)) },
    {
      pattern: /\bpytest\s*\.\s*(?:raises|warns)\s*\(/g,
      read: (match, code) => {
        const { text } = argumentsAt(code, match.index! + match[0].length - 1);
        return {
          matcher: "raises",
          strength: /\bmatch\s*=/.test(text) ? 3 : /^\s*(?:Base)?Exception\s*$/.test(text) ? 1 : 2,
        };
      },
    },
    {
      pattern: /(?<![\w.])(?:np|numpy)\s*\.\s*testing\s*\.\s*\w+\s*\(/g,
      read: () => ({ matcher: "numpy", strength: 3 }),
    },
  ],
  go: [
    {
      pattern: /(?<![\w.])(?:t|tb|b|f|c|tt)\s*\.\s*(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\s*\(/g,
      read: (match) => ({ matcher: match[0].replace(/[\s(]/g, ""), strength: 2 }),
    },
    {
      pattern: /(?<![\w.])(?:assert|require|is|s)\s*\.\s*([A-Z]\w*)\s*\(/g,
      read: named((name, argument) =>
        /^(?:True|False)f?$/.test(name)
          ? comparison(argument.replace(/^\s*\w+\s*,/, ""))
          : strengthOf(name.replace(/f$/, "").replace(/^Not(?=Equal|Contains)/, "x"), argument),
      ),
    },
    { pattern: /\b(?:cmp\.Diff|reflect\.DeepEqual)\s*\(/g, read: () => ({ matcher: "equal", strength: 3 }) },
    helperCall,
  ],
  java: [fluent, xunit],
  kotlin: [
    fluent,
    xunit,
    { pattern: /\b(should\w+)\b/g, read: (match) => ({ matcher: match[1]!, strength: strengthOf(match[1]!, "") }) },
  ],
  rust: [
    {
      pattern: /\b((?:debug_)?assert(?:_\w+)?)!\s*[([{]/g,
      read: named((name, argument) =>
        /eq$/.test(name) ? 3 : /ne$|matches|snapshot/.test(name) ? 2 : comparison(argument),
      ),
    },
    {
      pattern: /#\[\s*should_panic\s*(\(\s*expected)?/g,
      read: (match) => ({ matcher: "should_panic", strength: match[1] === undefined ? 1 : 2 }),
    },
    { pattern: /\bpanic!\s*\(/g, read: () => ({ matcher: "panic", strength: 1 }) },
  ],
  ruby: [
    {
      pattern: /(?<![\w$.])(?:expect|is_expected)\s*(?:\(|(?=\{|\.))/g,
      read: (match, code) => (match[0].endsWith("(") ? chained(match, code) : { matcher: "expect", strength: 2 }),
    },
    {
      pattern: /^[ \t]*((?:assert|refute)(?:_\w+)?)[ \t(]([^\n]*)/gm,
      read: (match) => ({
        matcher: match[1]!,
        strength: /^(?:assert|refute)$/.test(match[1]!)
          ? comparison(match[2]!.replace(/\)\s*$/, ""))
          : byXunitName(match[1]!, match[2]!),
      }),
    },
    {
      pattern: /\.\s*(?:must|wont)_(\w+)/g,
      read: (match) => ({ matcher: match[1]!, strength: /equal|be_nil|same/.test(match[1]!) ? 3 : 2 }),
    },
    { pattern: /\.should(?:_not)?\b/g, read: () => ({ matcher: "should", strength: 2 }) },
  ],
};
