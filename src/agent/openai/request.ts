import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import type { WireRequest } from "../loop/wire.ts";

/** What never changes first, so that the provider finds it in its cache: our text, then the repository's part. */
export function instructionsOf({ prompt, withRepository, schema }: WireRequest, withSchema: boolean): string {
  const repository = withRepository ? (prompt.repository ?? "") : "";
  const words =
    withSchema && schema !== undefined ? `The answer must fit this JSON Schema: ${JSON.stringify(schema)}` : "";
  return [prompt.system, repository, words].filter((part) => part !== "").join("\n\n");
}

/** The tools by name, description and JSON Schema. */
export function toolsOf(tools: BetaRunnableTool[]) {
  return tools.map((tool) => {
    const { $schema: _, ...parameters } = ("input_schema" in tool ? tool.input_schema : {}) as Record<string, unknown>;
    const description = "description" in tool ? (tool.description ?? "") : "";
    return { name: tool.name, description, parameters };
  });
}
