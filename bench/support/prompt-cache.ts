import { createHash } from "node:crypto";

/** A request of the Messages protocol, as far as it is cached. */
interface Cacheable {
  tools?: unknown[];
  system?: string | unknown[];
  messages: { role: string; content: string | unknown[] }[];
  cache_control?: unknown;
}

/** How many blocks before a mark are looked at for an earlier entry. */
const lookBack = 20;

/**
 * The share of the input, in bytes of its blocks, that the provider reads from its cache in a row of requests: a prefix up to
 * a mark is written, and read where a later request begins with the same blocks and has a mark at most 20 blocks behind it.
 * https://platform.claude.com/docs/en/build-with-claude/prompt-caching
 */
export function cachedShare(requests: readonly Cacheable[]): number {
  const written = new Set<string>();
  let read = 0;
  let all = 0;
  for (const request of requests) {
    const blocks = blocksOf(request);
    const hash = createHash("sha256");
    const prefixes = blocks.map(({ text }) => hash.update(`${text}\n`).copy().digest("hex"));
    const sizes = blocks.map(({ text }) => Buffer.byteLength(text));
    const marks = blocks.flatMap(({ marked }, index) => (marked ? [index] : []));
    const hits = marks.flatMap((mark) => {
      for (let at = mark; at >= Math.max(0, mark - lookBack); at -= 1) if (written.has(prefixes[at]!)) return [at];
      return [];
    });
    const hit = Math.max(-1, ...hits);
    read += sum(sizes.slice(0, hit + 1));
    all += sum(sizes);
    for (const mark of marks) written.add(prefixes[mark]!);
  }
  return all === 0 ? 0 : read / all;
}

function blocksOf({
  tools = [],
  system = [],
  messages,
  cache_control,
}: Cacheable): { text: string; marked: boolean }[] {
  const blocks = [
    ...tools.map((tool) => blockOf("tool", tool)),
    ...(typeof system === "string" ? [blockOf("system", system)] : system.map((block) => blockOf("system", block))),
    ...messages.flatMap(({ role, content }) =>
      typeof content === "string"
        ? [blockOf(role, { type: "text", text: content })]
        : content.map((block) => blockOf(role, block)),
    ),
  ];
  const last = blocks.at(-1);
  if (cache_control !== undefined && last !== undefined) last.marked = true;
  return blocks;
}

/** The mark itself is no part of what is compared. */
function blockOf(place: string, block: unknown): { text: string; marked: boolean } {
  const { cache_control: mark, ...rest } = (typeof block === "string" ? { text: block } : block) as Record<
    string,
    unknown
  >;
  return { text: `${place} ${JSON.stringify(rest)}`, marked: mark !== undefined };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
