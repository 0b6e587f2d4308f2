import { XMLParser } from "fast-xml-parser";

/** An element: attributes by `@name`, children by name, its own text by `#text`. */
export type Xml = { [key: string]: unknown };

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  // Without it character references such as &#10; stay as they are written.
  htmlEntities: true,
});

/** Undefined where the text is no XML. */
export function readXml(text: string): Xml | undefined {
  try {
    return asXml(parser.parse(text));
  } catch {
    return undefined;
  }
}

export function list(value: unknown): Xml[] {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  return items.map(asXml).filter((item) => item !== undefined);
}

export function first(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : value;
}

export function asXml(value: unknown): Xml | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Xml) : undefined;
}

/** Undefined where it is not there or empty. */
export function attribute(node: Xml, name: string): string | undefined {
  const value = node[`@${name}`];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  const text = asXml(value)?.["#text"];
  return typeof text === "string" ? text : "";
}
