import { z } from "zod";

const lengths = { title: 200, text: 8_000, url: 2_000, facts: 20, name: 60, value: 500 };

/**
 * What people are told. `text` is a small subset of Markdown: paragraphs, lists with `- `, `**bold**`, `` `code` `` and fenced
 * code. Everything else in it, links above all, is shown as it is written: `url` is the only address that can be followed.
 */
export const Notice = z.object({
  title: z.string().min(1).max(lengths.title),
  text: z.string().max(lengths.text),
  url: z.url({ protocol: /^https?$/ }).max(lengths.url),
  /** `owner/name`. */
  repository: z.string().max(200),
  severity: z.enum(["info", "warning", "problem"]),
  facts: z
    .array(z.object({ name: z.string().min(1).max(lengths.name), value: z.string().max(lengths.value) }))
    .max(lengths.facts),
});
export type Notice = z.infer<typeof Notice>;

/** The notice within its limits: what is too long is cut, and what has to be one line is one. */
export function fitNotice(notice: Notice): Notice {
  return {
    ...notice,
    title: cut(oneLine(notice.title), lengths.title) || notice.repository,
    text: cut(notice.text.toWellFormed().replace(/\r\n?/g, "\n").replace(controls, "").trim(), lengths.text),
    facts: notice.facts
      .slice(0, lengths.facts)
      .map(({ name, value }) => ({
        name: cut(oneLine(name), lengths.name),
        value: cut(oneLine(value), lengths.value),
      }))
      .filter(({ name }) => name !== ""),
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken away.
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** At most `length` UTF-16 units, whole characters, with `…` where something was cut. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = text.slice(0, length - 1);
  return `${/[\uD800-\uDBFF]$/.test(head) ? head.slice(0, -1) : head}…`;
}

function oneLine(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\u0085]+/g, " ")
    .replace(controls, "")
    .trim();
}

/** The sign before a title: what is told is seen without reading it. */
export const signs: Record<Notice["severity"], string> = { info: "ℹ️", warning: "⚠️", problem: "🔴" };
