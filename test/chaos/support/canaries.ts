import { randomBytes } from "node:crypto";

/** A value that has no business outside of the place that it was planted in. */
export interface Canary {
  /** Where it was planted, for the sentence of a violation. */
  name: string;
  value: string;
}

/** A value of 44 random letters and digits behind `prefix`, which lets it look like the secret that it stands for. */
export function newCanary(name: string, prefix = ""): Canary {
  return {
    name,
    value:
      prefix +
      randomBytes(64)
        .toString("base64")
        .replace(/[^A-Za-z0-9]/g, "")
        .slice(0, 44),
  };
}

export interface Found {
  name: string;
  /** How it was written there. */
  form: string;
}

/** Looks for canaries in one piece of what went out. */
export type Finder = (content: Buffer | string) => Found[];

/**
 * Finds each canary raw, reversed, in hexadecimal of both cases, URL-encoded, in base64 of both alphabets at all three
 * offsets (so also inside of a longer encoded text), and all of these in any case of letters with anything but letters
 * and digits between their characters: spaces, line breaks, zero-width characters, quotes and plus signs, UTF-16. Apart
 * from the product's redactor on purpose: a form that the redactor forgot is not forgotten here for the same reason.
 */
export function createFinder(canaries: readonly Canary[]): Finder {
  const needles = canaries.flatMap((canary) =>
    Object.entries(encodingsOf(canary.value)).map(([form, text]) => ({ name: canary.name, form, text })),
  );
  const exact = searchFor(needles);
  const split = searchFor(needles.map((one) => ({ ...one, form: `${one.form}, split`, text: squeeze(one.text) })));
  return (content) => {
    // One character for each byte, so that nothing is lost in bytes that are no UTF-8.
    const text = (typeof content === "string" ? Buffer.from(content) : content).toString("latin1");
    const unescaped = text.replace(/\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|[nrtbfv])/gi, "");
    const found = [...exact(text), ...split(squeeze(text)), ...(unescaped === text ? [] : split(squeeze(unescaped)))];
    // The plainest form says it all.
    return found.filter(({ name }, index) => found.findIndex((one) => one.name === name) === index);
  };
}

interface Needle extends Found {
  text: string;
}

const keyLength = 4;

/** Looks for many texts in one pass: only where the first four characters are those of one of them is more compared. */
function searchFor(needles: readonly Needle[]): (text: string) => Found[] {
  const byKey = new Map<number, Needle[]>();
  const seen = new Uint8Array(1 << 16);
  for (const needle of needles) {
    const key = keyAt(needle.text, 0);
    byKey.set(key, [...(byKey.get(key) ?? []), needle]);
    seen[(key ^ (key >>> 16)) & 0xffff] = 1;
  }
  return (text) => {
    const found = new Set<Needle>();
    for (let at = 0; at + keyLength <= text.length; at += 1) {
      const key = keyAt(text, at);
      if (seen[(key ^ (key >>> 16)) & 0xffff] === 0) continue;
      for (const needle of byKey.get(key) ?? []) if (text.startsWith(needle.text, at)) found.add(needle);
    }
    return needles.filter((needle) => found.has(needle)).map(({ name, form }) => ({ name, form }));
  };
}

function keyAt(text: string, at: number): number {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  );
}

/** How a text can be written so that whoever receives it has it again; `form` → text. */
export function encodingsOf(value: string): Record<string, string> {
  const bytes = Buffer.from(value);
  const hex = bytes.toString("hex");
  const percent = hex.replace(/../g, "%$&");
  const base64 = [0, 1, 2].map((offset) => base64Within(bytes, offset));
  return {
    raw: value,
    reversed: [...value].reverse().join(""),
    hex,
    "upper-case hex": hex.toUpperCase(),
    "URL-encoded": percent,
    "URL-encoded in upper case": percent.toUpperCase(),
    "URL-encoded where needed": encodeURIComponent(value),
    ...Object.fromEntries(base64.map((text, offset) => [`base64 at offset ${offset}`, text])),
    ...Object.fromEntries(
      base64.map((text, offset) => [`base64url at offset ${offset}`, text.replaceAll("+", "-").replaceAll("/", "_")]),
    ),
  };
}

/** The characters of base64 that the value alone decides when `offset` other bytes stand before it. */
function base64Within(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  return encoded.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3));
}

function squeeze(text: string): string {
  return text.replace(/[^A-Za-z0-9]+/g, "").toLowerCase();
}
