/** Strings in place of what CloudFormation knows only at the deploy: `Bucket.Arn`, `Vpc`. */
export type Resolved = string | number | boolean | null | Resolved[] | { [key: string]: Resolved };

export interface Resource {
  Type: string;
  Properties: Record<string, Resolved>;
}

interface Template {
  Conditions?: Record<string, unknown>;
  Resources: Record<string, { Type: string; Condition?: string; Properties?: unknown }>;
}

const absent = Symbol("AWS::NoValue");
const pseudo: Record<string, string> = {
  "AWS::Partition": "aws",
  "AWS::Region": "eu-central-1",
  "AWS::AccountId": "123456789012",
};

/** The resources that a template makes: its conditions decided, its functions carried out as far as a reader needs. */
export function resourcesOf(template: Template): Record<string, Resource> {
  const holds = (name: string): boolean => decide(template.Conditions?.[name]);
  const there = Object.entries(template.Resources).filter(
    ([, { Condition }]) => Condition === undefined || holds(Condition),
  );
  return Object.fromEntries(
    there.map(([name, { Type, Properties }]) => [
      name,
      { Type, Properties: resolve(Properties ?? {}, holds) as Resource["Properties"] },
    ]),
  );
}

function decide(condition: unknown): boolean {
  const { "Fn::Equals": equals, "Fn::Not": not } = condition as { "Fn::Equals"?: unknown[]; "Fn::Not"?: unknown[] };
  if (equals !== undefined) return equals[0] === equals[1];
  if (not !== undefined) return !decide(not[0]);
  throw new Error(`No such condition: ${JSON.stringify(condition)}`);
}

function resolve(value: unknown, holds: (name: string) => boolean): Resolved | typeof absent {
  const inner = (item: unknown) => resolve(item, holds);
  if (Array.isArray(value)) return value.map(inner).filter((item) => item !== absent);
  if (typeof value !== "object" || value === null) return value as Resolved;
  const entries = Object.entries(value);
  const [name, argument] = entries.length === 1 ? entries[0]! : ["", undefined];
  switch (name) {
    case "Ref":
      return argument === "AWS::NoValue" ? absent : (pseudo[argument as string] ?? (argument as string));
    case "Fn::GetAtt":
      return (argument as string[]).join(".");
    case "Fn::If": {
      const [condition, yes, no] = argument as [string, unknown, unknown];
      return inner(holds(condition) ? yes : no);
    }
    case "Fn::Sub": {
      const [text, variables] = (Array.isArray(argument) ? argument : [argument, {}]) as [
        string,
        Record<string, unknown>,
      ];
      return text.replace(/\$\{([^}]+)\}/g, (_, key: string) =>
        String(key in variables ? inner(variables[key]) : (pseudo[key] ?? key)),
      );
    }
    case "Fn::Split": {
      const [by, text] = argument as [string, unknown];
      const resolved = inner(text);
      return typeof resolved === "string" && !resolved.includes(".")
        ? resolved.split(by)
        : [`split(${String(resolved)})`];
    }
    case "Fn::Select":
      return `select(${JSON.stringify((argument as unknown[]).map(inner))})`;
    default:
      return Object.fromEntries(
        entries.map(([key, item]) => [key, inner(item)] as const).filter(([, item]) => item !== absent),
      ) as Resolved;
  }
}
