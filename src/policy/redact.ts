/** Finds known secret values in text, however they are encoded, and replaces them by their name. */
export interface Redactor {
  /** The text with every known value replaced by `[redacted:<name>]`. Linear in the text's length; never throws. */
  redact(text: string): string;
  /** Names of the secrets that occur in the text or bytes, sorted. */
  contains(content: string | Uint8Array): string[];
  /** Makes a further value known from now on, for example a token that was just minted. */
  add(name: string, value: string): void;
  /** Redacts a text that arrives in chunks, also where a value is cut in two by a chunk's end. */
  stream(): RedactingStream;
}

export interface RedactingStream {
  /** Takes a chunk; returns what is safe to pass on. The end is held back until more is known. */
  write(chunk: string): string;
  /** Returns the rest. */
  end(): string;
}

export interface Secret {
  name: string;
  value: string;
}

/** Values shorter than this are not looked for: they would hide ordinary words. */
const minSecretLength = 6;

/** A value must leave this many letters and digits to be looked for with separators in between. */
const minSqueezedLength = 16;

/** How much of a stream is held back at most for a value whose characters are spread far apart. */
const maxHeldCharacters = 64 * 1024;

/**
 * A redactor that knows these secrets as they are, as base64 (standard and URL alphabet, at all three offsets, so also
 * inside a longer encoded text), hexadecimal, URL-encoded, HTML-escaped, JSON-escaped and reversed; and, when
 * long enough, with any separators between its characters (wrapped lines, `"ab" + "cd"`, UTF-16). Long lines of a value
 * with several lines (a private key) count by themselves.
 */
export function createRedactor(secrets: readonly Secret[]): Redactor {
  const exact = new NeedleIndex();
  const squeezed = new NeedleIndex();
  const add = (name: string, value: string): void => {
    const label = name.replace(/[^\w.-]/g, "_");
    for (const part of partsOf(value)) {
      const forms = encodingsOf(part);
      for (const form of forms.exact) exact.add(form, label);
      for (const form of forms.squeezable) {
        const short = squeeze(form).text;
        if (short.length >= minSqueezedLength) squeezed.add(short, label);
      }
    }
  };
  for (const { name, value } of secrets) add(name, value);

  const find = (text: string): Match[] => merge([...exact.find(text), ...findSqueezed(squeezed, text)]);
  return {
    add,
    redact: (text) => replace(text, find(text)),
    contains: (content) => {
      const text = typeof content === "string" ? content : Buffer.from(content).toString("utf8");
      return [...new Set(find(text).flatMap((match) => match.names))].sort();
    },
    stream: () => redactingStream(find, () => Math.max(exact.longest, squeezed.longest)),
  };
}

interface Match {
  start: number;
  end: number;
  names: string[];
}

function replace(text: string, matches: readonly Match[]): string {
  if (matches.length === 0) return text;
  const out: string[] = [];
  let from = 0;
  for (const { start, end, names } of matches) {
    out.push(text.slice(from, start), `[redacted:${names[0]}]`);
    from = end;
  }
  out.push(text.slice(from));
  return out.join("");
}

/** The value itself, and the long lines of a value that has several, but not the lines around a PEM key. */
function partsOf(value: string): string[] {
  const trimmed = value.trim();
  if (trimmed.length < minSecretLength) return [];
  const lines = trimmed
    .split(/\r?\n|\\n/)
    .map((line) => line.trim())
    .filter((line) => line.length >= 24 && !line.startsWith("-----"));
  return lines.length > 1 || lines[0] !== trimmed ? [trimmed, ...lines] : [trimmed];
}

function encodingsOf(value: string): { exact: Set<string>; squeezable: string[] } {
  const bytes = Buffer.from(value, "utf8");
  const reversed = Array.from(value).reverse().join("");
  const hex = bytes.toString("hex");
  const base64 = [0, 1, 2].map((offset) => base64At(bytes, offset));
  const percent = hex.replace(/../g, "%$&");
  const url = encodeUrl(value);
  const json = JSON.stringify(value).slice(1, -1);
  const exact = new Set([
    value,
    reversed,
    hex,
    hex.toUpperCase(),
    percent,
    percent.toUpperCase(),
    url,
    url.replaceAll("%20", "+"),
    url.replace(/%../g, (code) => code.toLowerCase()),
    json,
    JSON.stringify(json).slice(1, -1),
    json.replaceAll("/", "\\/"),
    value.replaceAll("\n", "\r\n"),
    value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;"),
    ...base64,
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
  ]);
  for (const form of exact) if (form.length < minSecretLength) exact.delete(form);
  return { exact, squeezable: [value, reversed, hex, ...base64] };
}

function encodeUrl(value: string): string {
  // A lone surrogate cannot be URL-encoded; toWellFormed keeps the function total.
  return encodeURIComponent(value.toWellFormed());
}

/** The base64 characters that depend on the value alone when `offset` unknown bytes stand before it. */
function base64At(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

/**
 * Finds many fixed strings in one pass: a bitmap of their hashed last six characters rejects nearly every position, a
 * map of these gives the candidates of the others. The end is used because tokens of one kind begin alike.
 */
class NeedleIndex {
  longest = 0;
  readonly #names = new Map<string, string>();
  readonly #byEnding = new Map<number, string[]>();
  readonly #seen = new Uint8Array(1 << 16);

  add(needle: string, name: string): void {
    if (needle.length < minSecretLength || this.#names.has(needle)) return;
    this.#names.set(needle, name);
    this.longest = Math.max(this.longest, needle.length);
    const key = endingHash(needle, needle.length);
    this.#seen[key] = 1;
    const candidates = [...(this.#byEnding.get(key) ?? []), needle];
    this.#byEnding.set(
      key,
      candidates.sort((a, b) => b.length - a.length),
    );
  }

  find(text: string): Match[] {
    const matches: Match[] = [];
    if (this.#names.size === 0) return matches;
    for (let end = minSecretLength; end <= text.length; end++) {
      const key = endingHash(text, end);
      if (this.#seen[key] !== 1) continue;
      const needle = this.#byEnding
        .get(key)
        ?.find((candidate) => text.startsWith(candidate, end - candidate.length) && candidate.length <= end);
      if (needle !== undefined) matches.push({ start: end - needle.length, end, names: [this.#names.get(needle)!] });
    }
    return matches;
  }
}

function endingHash(text: string, end: number): number {
  let hash = 0;
  for (let at = end - minSecretLength; at < end; at++) hash = (hash * 31 + text.charCodeAt(at)) | 0;
  return (hash ^ (hash >>> 16)) & 0xffff;
}

/** Letters and digits alone, in lower case, with the place of each in the text; `\n`, `\r` and `\t` count as separators. */
function squeeze(text: string): { text: string; positions: Uint32Array } {
  const kept = new Uint8Array(text.length);
  const positions = new Uint32Array(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c && isEscapeLetter(text.charCodeAt(at + 1))) {
      at++;
      continue;
    }
    const lower = code >= 0x41 && code <= 0x5a ? code + 32 : code;
    if (!((lower >= 0x61 && lower <= 0x7a) || (lower >= 0x30 && lower <= 0x39))) continue;
    kept[length] = lower;
    positions[length++] = at;
  }
  return { text: Buffer.from(kept.buffer, 0, length).toString("latin1"), positions };
}

function isEscapeLetter(code: number): boolean {
  return code === 0x6e || code === 0x72 || code === 0x74;
}

function findSqueezed(index: NeedleIndex, text: string): Match[] {
  if (index.longest === 0) return [];
  const short = squeeze(text);
  return index.find(short.text).map(({ start, end, names }) => ({
    start: short.positions[start]!,
    end: short.positions[end - 1]! + 1,
    names,
  }));
}

/** Sorted by place, overlapping ones joined. */
function merge(matches: Match[]): Match[] {
  const merged: Match[] = [];
  for (const match of matches.sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = merged.at(-1);
    if (last !== undefined && match.start < last.end) {
      last.end = Math.max(last.end, match.end);
      for (const name of match.names) if (!last.names.includes(name)) last.names.push(name);
    } else {
      merged.push(match);
    }
  }
  return merged;
}

function redactingStream(find: (text: string) => Match[], longest: () => number): RedactingStream {
  let pending = "";
  return {
    write(chunk) {
      pending += chunk;
      const held = heldFrom(pending, longest());
      // Scanning only when half of what is pending can go keeps the work linear for tiny chunks.
      if (held < pending.length / 2) return "";
      const matches = find(pending);
      const across = matches.find((match) => match.start < held && match.end > held);
      const cut = across?.start ?? held;
      const safe = replace(
        pending.slice(0, cut),
        matches.filter((match) => match.end <= cut),
      );
      pending = pending.slice(cut);
      return safe;
    },
    end() {
      const rest = replace(pending, find(pending));
      pending = "";
      return rest;
    },
  };
}

/** Where the tail begins in which a value may have begun: as many letters and digits, and characters, as the longest value. */
function heldFrom(text: string, longest: number): number {
  if (longest === 0) return text.length;
  let at = text.length;
  let wordCharacters = 0;
  const least = Math.max(0, text.length - maxHeldCharacters);
  while (at > least && (wordCharacters < longest || text.length - at < longest)) {
    at--;
    if (/[A-Za-z0-9]/.test(text[at]!)) wordCharacters++;
  }
  return at;
}
