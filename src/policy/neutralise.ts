/** What `neutralise` may leave alive, and how much it may return. */
export interface NeutraliseOptions {
  /** Hosts whose links stay links, for example `github.com`; subdomains are hosts of their own. */
  allowHosts: readonly string[];
  /** Most bytes of UTF-8 that are returned. */
  maxBytes: number;
  /** Leaves `- [ ]` as a box to tick. Without it the boxes are drawn as characters that nobody can tick. */
  allowTaskLists?: boolean;
}

/**
 * Markdown that a model wrote, made harmless for posting (security.md M7): nobody is mentioned, no issue is closed
 * or referred to, nothing is loaded or linked from elsewhere, no HTML and no hidden mark remains, and no code
 * fence is left open that could swallow what follows. It reads like the original; a zero-width space
 * is the only trace of most changes. Applying it twice changes nothing more. Linear time; never throws.
 */
export function neutralise(
  markdown: string,
  { allowHosts, maxBytes, allowTaskLists = false }: NeutraliseOptions,
): string {
  // What is beyond the limit cannot be in the result, which is hardly ever shorter than what it was made of.
  const source = markdown
    .slice(0, maxBytes * 2)
    .replace(/\r\n?/g, "\n")
    .toWellFormed();
  const hosts = new Set(allowHosts.map((host) => host.toLowerCase()));
  // What a pass takes away, or the cut, can bring to life what stood in a longer whole: repeated until nothing changes.
  let safe = source;
  for (let pass = 0; pass < maxPasses; pass += 1) {
    const again = cut(onePass(safe, hosts, allowTaskLists), maxBytes);
    if (again === safe) return safe;
    safe = again;
  }
  return "";
}

const maxPasses = 12;

function onePass(source: string, hosts: ReadonlySet<string>, allowTaskLists: boolean): string {
  // The marks of an earlier pass are made anew.
  return splitFences(source.replace(invisible, ""))
    .map((part) => (part.fence ? withoutClosing(part.text) : neutralText(part.text, hosts, allowTaskLists)))
    .join("\n");
}

// Private-use characters go too, so that two of them can stand around the allowed links below.
const invisible = /[\p{Default_Ignorable_Code_Point}\p{Co}]|(?![\t\n\r])\p{Cc}/gu;

interface Part {
  fence: boolean;
  text: string;
}

/** Fenced code blocks at the start of a line, each rewritten with a plain info string and always closed, and the text between them. */
function splitFences(source: string): Part[] {
  const parts: Part[] = [];
  let text: string[] = [];
  let open: { mark: string; length: number; lines: string[] } | undefined;
  const endText = () => {
    if (text.length > 0) parts.push({ fence: false, text: text.join("\n") });
    text = [];
  };
  const endFence = () => {
    if (open !== undefined)
      parts.push({ fence: true, text: [...open.lines, open.mark.repeat(open.length)].join("\n") });
    open = undefined;
  };
  for (const line of source.split("\n")) {
    if (open !== undefined) {
      const close = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line)?.[1];
      if (close?.[0] === open.mark && close.length >= open.length) endFence();
      else open.lines.push(line);
      continue;
    }
    const fence = /^ {0,3}(?:(`{3,})([^`]*)|(~{3,})(.*))$/.exec(line);
    if (fence === null) {
      text.push(line);
      continue;
    }
    // A fence is only sure to be one after a blank line: raw HTML, which is escaped here, could otherwise hold it.
    if ((text.at(-1) ?? "").trim() !== "") text.push("");
    endText();
    const run = fence[1] ?? fence[3]!;
    const language = /^[ \t]*([A-Za-z][\w+#-]{0,19})/.exec(fence[2] ?? fence[4]!)?.[1] ?? "";
    open = { mark: run[0]!, length: run.length, lines: [run + shownLanguage(language)] };
  }
  endText();
  endFence();
  return parts;
}

/** Blocks that GitHub renders (diagrams, maps, formulas) are shown as code; so is a language that is no such word. */
function shownLanguage(language: string): string {
  return /^(?:mermaid|geojson|topojson|stl|math|suggestion)$/i.test(language) ? "text" : language;
}

/**
 * Text outside of fences. Code spans are left open to the same replacements as the text: which back quotes pair up
 * depends on everything around them, and a mention that looks like code to us may be none to GitHub.
 */
function neutralText(text: string, hosts: ReadonlySet<string>, allowTaskLists: boolean): string {
  // First, because a box may be left where an image's mark is taken away.
  const noImages = text.replace(/!+(?=\[)/g, "");
  const boxes = allowTaskLists
    ? noImages
    : noImages.replace(
        /^([-+*>\d.) \t]*)\[([\sxX])\](?=\s|$)/gm,
        (_, start: string, mark: string) => start + (/\s/.test(mark) ? "☐" : "☑"),
      );
  const plain = boxes
    .replace(
      /\[([^[\]\n]*)\]\(([^()\s]*)(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'))?\)/g,
      (_, label: string, destination: string) => link(label, destination, hosts),
    )
    .replace(/\](?=[([:])/g, "]\u200b");
  return quiet(literalUrls(plain, hosts));
}

function link(label: string, destination: string, hosts: ReadonlySet<string>): string {
  const host = allowedHost(destination, hosts);
  if (host !== undefined) return `[${label}]${linkOpen}${destination}${close}`;
  const name = /^(?:[a-z][\w+.-]*:)?[/\\]{2}(?:[^/\\?#@]*@)?([^/\\?#:]*)/i.exec(destination)?.[1] ?? "";
  return name === "" || label.toLowerCase().includes(name.toLowerCase()) ? label : `${label} (${name})`;
}

/** The host of an https destination without user name and port, if it is allowed. */
function allowedHost(destination: string, hosts: ReadonlySet<string>): string | undefined {
  const host = /^https:\/\/([a-z0-9.-]+)(?:[/?#][\w\-./~%?#=&+,:;]*)?$/i.exec(destination)?.[1]?.toLowerCase();
  return host !== undefined && hosts.has(host) ? host : undefined;
}

// Around allowed links while the rest of the text is changed. The text has no such characters of its own.
const [open, linkOpen, close] = ["\uE000", "\uE002", "\uE001"];
const marked = /([\uE000\uE002][^\uE001]*\uE001)/;

function isMarked(piece: string): boolean {
  return piece.startsWith(open) || piece.startsWith(linkOpen);
}

/** `https://evil.example/x` would become a link by itself: only the host stays, and it is no link either. */
function literalUrls(text: string, hosts: ReadonlySet<string>): string {
  return text
    .split(marked)
    .map((piece) => {
      if (isMarked(piece)) return piece;
      return piece.replace(/(?:[a-z][a-z0-9+.-]{0,20}:\/\/|www\.)[^\s<>"'`)\]\uE000\uE001]*/gi, (url, at: number) => {
        const trimmed = url.replace(/[.,;:!?]+$/, "");
        // Right behind a letter or digit it is no link to GitHub, and its end may be a reference.
        const isLink = !/\w/.test(piece[at - 1] ?? "");
        if (isLink && allowedHost(trimmed, hosts) !== undefined)
          return `${open}${trimmed}${close}${url.slice(trimmed.length)}`;
        const host = /^(?:[a-z0-9+.-]*:\/\/)?(?:[^/?#@]*@)?([^/?#:]*)/i.exec(trimmed)?.[1] ?? "";
        return host + url.slice(trimmed.length);
      });
    })
    .join("");
}

/** No HTML, no mentions, no references; allowed links, which stand between marks, are put back as they were. */
function quiet(text: string): string {
  return text
    .split(marked)
    .map((piece) => {
      if (isMarked(piece)) return piece.startsWith(linkOpen) ? `(${piece.slice(1, -1)})` : piece.slice(1, -1);
      return piece
        .replace(/&(?!(?:amp|lt|gt|quot);)(?=#|[a-z]+\d*;)/gi, "&\u200b")
        .replace(/<(?=[a-z/!?])/gi, "<\u200b")
        .replace(/@(?=\S)/g, "@\u200b")
        .replace(/#(?=[\d\\&])/g, "#\u200b")
        .replace(/\b(gh-)(?=\d)/gi, "$1\u200b")
        .replace(/:(?=\/\/)/g, ":\u200b")
        .replace(/(www)(?=\.)/gi, "$1\u200b")
        .replace(/\b([0-9a-f]{7})([0-9a-f]{33})\b/gi, "$1\u200b$2")
        .replace(/!(?=\[)/g, "!\u200b");
    })
    .join("")
    .replace(closingWord, "$1\u200b$2");
}

// https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue
const closingWord =
  /\b(clos|fix|resolv)(e?[sd]?|es|ed)(?=[\s:]*(?:\[[^\]\n]{0,200}\]\(?)?(?:\(?https:|[\w./-]{0,140}#|gh-))/gi;

/** In code nothing is a mention, but a commit message is not Markdown: there a closing word in a fence closes. */
function withoutClosing(code: string): string {
  return code.replace(closingWord, "$1\u200b$2");
}

/** At most `maxBytes` bytes, whole characters, with the fence closed that the cut left open. */
function cut(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const room = Math.max(0, maxBytes - 16);
  const head = Buffer.from(text)
    .subarray(0, room)
    .toString("utf8")
    .replace(/\uFFFD+$/u, "");
  // A link that is cut in two is no link any more; what is left of it must not become one.
  const shorter = head.replace(/\]\([^)\n]*$/, "]").replace(/https:\/\/\S*$/i, "");
  const open = openFence(shorter);
  const end = open === undefined ? "…" : `\n${open.slice(0, 12)}`;
  const whole = shorter + end;
  return Buffer.byteLength(whole) <= maxBytes ? whole : "";
}

function openFence(text: string): string | undefined {
  let open: string | undefined;
  for (const line of text.split("\n")) {
    const run = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (run === undefined) continue;
    if (open === undefined) open = run;
    else if (run[0] === open[0] && run.length >= open.length && line.trim() === run) open = undefined;
  }
  return open;
}
