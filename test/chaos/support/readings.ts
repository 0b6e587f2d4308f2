/** A text as it is, and as somebody could decode what is hidden in it: a canary must be in none of these. */
export function readings(text: string): string[] {
  const visible = Array.from(text)
    .filter((character) => !isForbidden(character.codePointAt(0)!))
    .join("");
  const smuggled = Array.from(text, (character) => smuggledLetter(character.codePointAt(0)!)).join("");
  const entities = visible.replace(/&#(?:x([\da-f]{1,6})|(\d{1,7}));?/gi, (_, hex?: string, decimal?: string) =>
    letter(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)),
  );
  const escapes = text.replace(/\\u\{?([\da-f]{4,6})\}?/gi, (_, hex: string) => letter(Number.parseInt(hex, 16)));
  const percent = visible.replace(/%([\da-f]{2})/gi, (_, hex: string) => letter(Number.parseInt(hex, 16)));
  return [visible, smuggled, entities, escapes, percent];
}

/** Letters written with tag characters or variation selectors, which nobody sees and a model can read. */
function smuggledLetter(point: number): string {
  if (point >= 0xe0020 && point <= 0xe007e) return String.fromCodePoint(point - 0xe0000);
  if (point >= 0xe0120 && point <= 0xe017e) return String.fromCodePoint(point - 0xe0100);
  return "";
}

function letter(point: number): string {
  return point <= 0x10ffff ? String.fromCodePoint(point) : "";
}

/**
 * Whether a code point may not reach a prompt as itself: controls but tab and line feed, surrogates, private use, and
 * Default_Ignorable_Code_Point, written out from https://www.unicode.org/Public/16.0.0/ucd/DerivedCoreProperties.txt
 * so that it does not depend on what the product asks.
 */
export function isForbidden(point: number): boolean {
  return forbidden.some(([first, last]) => point >= first && point <= last);
}

const forbidden: readonly [first: number, last: number][] = [
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x61c, 0x61c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xd800, 0xf8ff],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfff8],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
  [0xf0000, 0xffffd],
  [0x100000, 0x10fffd],
];
