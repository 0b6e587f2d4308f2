import { writeFileSync } from "node:fs";
import { z } from "zod";
import { Environment } from "./operator.ts";
import { RepositoryConfig, repositoryConfigPath } from "./repository.ts";

/** The published JSON Schema of `.github/millwright.yml`, and docs/configuration.md, both made from the zod schemas. */
export function generated(): Record<"schema/millwright.schema.json" | "docs/configuration.md", string> {
  const schema = z.toJSONSchema(RepositoryConfig, { io: "input" });
  return {
    "schema/millwright.schema.json": `${JSON.stringify({ title: repositoryConfigPath, ...schema }, null, 2)}\n`,
    "docs/configuration.md": configurationPage(schema),
  };
}

type Json = z.core.JSONSchema.BaseSchema;

function configurationPage(schema: Json): string {
  const environment = z.toJSONSchema(Environment, { io: "input", unrepresentable: "any" });
  return [
    "# Configuration",
    "",
    "Made by `npm run generate` from `src/config/`; edit it there.",
    "",
    `## Repository: \`${repositoryConfigPath}\``,
    "",
    "Read from the default branch at the pinned commit, never from a pull request. An unknown key or a wrong value pauses",
    "Millwright in the repository with one comment that names path, rule and value. Editors complete and check",
    "the file when they are pointed at `schema/millwright.schema.json`.",
    "",
    "| key | values | default | meaning |",
    "|---|---|---|---|",
    ...rows(schema, ""),
    "",
    "## Operator: environment",
    "",
    "Read once at start. A missing or wrong value stops the start with a message that names the variable and where to get it.",
    "",
    "| variable | values | default | meaning |",
    "|---|---|---|---|",
    ...rows(environment, ""),
    "",
  ].join("\n");
}

function rows(schema: Json, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    if (typeof property === "boolean") return [];
    const path = `${prefix}${key}`;
    if (property.type === "object" && property.properties !== undefined) return rows(property, `${path}.`);
    const fallback = property.default === undefined ? "" : `\`${JSON.stringify(property.default)}\``;
    return [
      `| \`${path}\` | ${valuesOf(property)} | ${fallback} | ${(property.description ?? "").replaceAll("|", "\\|")} |`,
    ];
  });
}

function valuesOf(property: Json): string {
  if (property.enum !== undefined) return property.enum.map((value) => `\`${value}\``).join(", ");
  if (property.const !== undefined) return `\`${property.const}\``;
  if (property.anyOf !== undefined) return property.anyOf.map((option) => valuesOf(option as Json)).join(", ");
  if (property.type === "array") return "list of texts";
  return String(property.type ?? "text");
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(generated())) writeFileSync(path, text);
}
