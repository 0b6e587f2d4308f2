import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";

/** Every prompt; each is `prompts/<name>.md`. */
export const promptNames = [
  "analyse-issue",
  "revise-plan",
  "write-change",
  "fix-checks",
  "simplest-change",
  "address-review",
  "resolve-conflict",
  "analyse-failure",
  "fix-failure",
  "review-group",
  "verify-findings",
  "answer-reply",
] as const;
export type PromptName = (typeof promptNames)[number];

/** The reviewers that every repository has; each is `prompts/reviewers/<name>.md`. */
const reviewerNames = ["security", "performance", "quality", "architecture"] as const;

/** A prompt with its values filled in. The system part is the same for every call of the same version, so it can be cached. */
export interface RenderedPrompt {
  version: string;
  system: string;
  task: string;
}

const FrontMatter = z.strictObject({
  version: z.number().int().positive(),
  /** Shared parts that follow the system text, in order. */
  shared: z.array(z.string()).default([]),
  /** What the task needs. */
  placeholders: z.array(z.string().regex(/^[a-z][a-zA-Z]*$/)).default([]),
});

interface Template {
  version: string;
  system: string;
  task: string;
  placeholders: string[];
}

const templates = new Map<PromptName, Template>();

/**
 * Fills a prompt's placeholders. The values are text that is ready for the model: what a stranger wrote must already be a
 * data block. Throws when a value is missing, or given but not asked for: a typing mistake must not change a prompt silently.
 */
export function renderPrompt(name: PromptName, values: Record<string, string> = {}): RenderedPrompt {
  const template = templates.get(name) ?? loadTemplate(name);
  templates.set(name, template);
  const unknown = Object.keys(values).find((key) => !template.placeholders.includes(key));
  if (unknown !== undefined) throw new Error(`The prompt ${name} has no placeholder ${unknown}`);
  for (const key of template.placeholders) {
    if (values[key] === undefined) throw new Error(`The prompt ${name} needs a value for ${key}`);
  }
  // One pass, so that braces inside of a value stay what they are.
  const task = template.task.replaceAll(/\{\{([a-zA-Z]+)\}\}/g, (_match, key: string) => values[key] ?? "");
  return { version: template.version, system: template.system, task: task.trim() };
}

/** What a built-in reviewer looks for; undefined for a name that is not built in. It stands in the task, behind what all reviewers share. */
export function reviewerInstructions(name: string): { version: string; text: string } | undefined {
  if (!reviewerNames.some((known) => known === name)) return undefined;
  const { matter, body } = readMarkdown(`reviewers/${name}.md`);
  return { version: String(matter.version), text: body.trim() };
}

/**
 * Reads a prompt's file: front matter, then the system text, then everything below the heading `# Task`. The system text
 * begins with the line `stage: <name>`. Its version is its own and those of its shared parts, joined by dots.
 */
function loadTemplate(name: PromptName): Template {
  const { matter, body } = readMarkdown(`${name}.md`);
  const [system, task, ...rest] = body.split(/^# Task$/m);
  if (system === undefined || task === undefined || rest.length > 0)
    throw new Error(`prompts/${name}.md needs exactly one heading "# Task"`);
  const shared = matter.shared.map((part) => readMarkdown(`shared/${part}.md`));
  const { placeholders } = matter;
  const used = new Set(Array.from(body.matchAll(/\{\{([^}]*)\}\}/g), (match) => match[1]!));
  for (const key of used)
    if (!placeholders.includes(key))
      throw new Error(`prompts/${name}.md uses {{${key}}}, which its front matter does not name`);
  for (const known of placeholders)
    if (!used.has(known)) throw new Error(`prompts/${name}.md names the placeholder ${known} and does not use it`);
  if (/\{\{/.test(system))
    throw new Error(`prompts/${name}.md has a placeholder in its system text, which must be the same for every call`);
  return {
    version: [matter.version, ...shared.map((part) => part.matter.version)].join("."),
    system: [`stage: ${name}`, system.trim(), ...shared.map((part) => part.body.trim())].join("\n\n"),
    task: task.trim(),
    placeholders,
  };
}

function readMarkdown(file: string): { matter: z.infer<typeof FrontMatter>; body: string } {
  const text = readFileSync(new URL(`./prompts/${file}`, import.meta.url), "utf8");
  const parts = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text);
  if (parts === null) throw new Error(`prompts/${file} has no front matter`);
  const matter = FrontMatter.safeParse(parse(parts[1]!));
  if (!matter.success)
    throw new Error(`prompts/${file}: ${matter.error.issues[0]?.path.join(".")}: ${matter.error.issues[0]?.message}`);
  return { matter: matter.data, body: parts[2]! };
}
