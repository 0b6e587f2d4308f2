import { z } from "zod";
import { pipelines } from "../pipeline/index.ts";
import { OutcomeKind } from "../pipeline/outcome.ts";
import { steps } from "../pipeline/steps/index.ts";

/**
 * Tells the words that the steps' schemas list (`plan`, `ready`, `squash`) from texts. They say nothing about a repository, and
 * stories decide by them, so a platform may see them.
 */
export function ownWords(): (text: string) => boolean {
  const words = new Set<string>([...OutcomeKind.options, ...Object.keys(pipelines), ...Object.keys(steps)]);
  const gather = (schema: unknown): void => {
    if (typeof schema !== "object" || schema === null) return;
    const { const: constant, enum: values } = schema as { const?: unknown; enum?: unknown };
    for (const value of [constant, ...(Array.isArray(values) ? values : [])])
      if (typeof value === "string") words.add(value);
    for (const part of Object.values(schema)) gather(part);
  };
  for (const { output } of Object.values(steps)) gather(z.toJSONSchema(output, { unrepresentable: "any" }));
  return (text) => words.has(text);
}
