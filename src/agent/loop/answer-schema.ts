import { transformJSONSchema } from "@anthropic-ai/sdk/lib/transform-json-schema";
import { type ZodType, z } from "zod";
import type { JsonSchema } from "./wire.ts";

/**
 * The schema as providers take it: closed objects, limits of length in words. It is checked here once more, limits and all.
 * Parts that occur twice are written twice: the SDK's `zodOutputFormat` makes references of them, and beside a reference it
 * drops the description, which is the only word about an optional property that reaches the model.
 */
export function answerSchema(schema: ZodType): JsonSchema {
  return transformJSONSchema(z.toJSONSchema(schema, { reused: "inline" })) as JsonSchema;
}

/**
 * The same with every property required and optional ones nullable, as OpenAI wants it of a strict schema:
 * https://developers.openai.com/api/docs/guides/structured-outputs#all-fields-must-be-required
 */
export function strictSchema(schema: JsonSchema): JsonSchema {
  const strict = mapChildren(schema, strictSchema);
  const { properties } = strict;
  if (!isObject(properties)) return strict;
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const nullable = Object.entries(properties).map(([name, property]) => [
    name,
    required.has(name) ? property : { anyOf: [property, { type: "null" }] },
  ]);
  return { ...strict, properties: Object.fromEntries(nullable), required: Object.keys(properties) };
}

/** The value without the nulls that stand for properties that are not required. */
export function withoutNulls(value: unknown, schema: JsonSchema, root = schema): unknown {
  const reference = schema["$ref"];
  if (typeof reference === "string") {
    const target = reference
      .replace(/^#\/?/, "")
      .split("/")
      .reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), root);
    return isObject(target) ? withoutNulls(value, target, root) : value;
  }
  const { items, properties } = schema;
  if (Array.isArray(value)) return isObject(items) ? value.map((one) => withoutNulls(one, items, root)) : value;
  if (!isObject(value) || !isObject(properties)) return value;
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, part]) => part !== null || required.includes(name) || properties[name] === undefined)
      .map(([name, part]) => {
        const property = properties[name];
        return [name, isObject(property) ? withoutNulls(part, property, root) : part];
      }),
  );
}

function mapChildren(schema: JsonSchema, change: (child: JsonSchema) => JsonSchema): JsonSchema {
  const changed = { ...schema };
  for (const name of ["items", "additionalProperties"]) {
    const child = changed[name];
    if (isObject(child)) changed[name] = change(child);
  }
  for (const name of ["anyOf", "allOf"]) {
    const children = changed[name];
    if (Array.isArray(children)) changed[name] = children.map((child) => (isObject(child) ? change(child) : child));
  }
  for (const name of ["properties", "$defs"]) {
    const children = changed[name];
    if (isObject(children))
      changed[name] = Object.fromEntries(
        Object.entries(children).map(([key, child]) => [key, isObject(child) ? change(child) : child]),
      );
  }
  return changed;
}

function isObject(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
