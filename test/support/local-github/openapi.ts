import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Ajv, type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
}
type Schema = { [key: string]: unknown };
interface Operation {
  parameters?: (Parameter | { $ref: string })[];
  requestBody?: { required?: boolean; content?: Record<string, { schema?: Schema }> };
  responses: Record<string, { $ref?: string; content?: Record<string, { schema?: Schema }> }>;
}
interface Description {
  paths: Record<string, Record<string, Operation>>;
  "x-webhooks": Record<string, { post: Operation }>;
  components: Record<string, Record<string, unknown>>;
}

interface Loaded {
  description: Description;
  ajv: Ajv;
  /** For path and query parameters, which arrive as strings. */
  coercingAjv: Ajv;
  /** Names of the components that both know already. */
  added: Set<string>;
}

/** GitHub answers these on any route, whether or not the description names them there. */
const EVERYWHERE = new Set([304, 400, 401, 403, 404, 410, 422, 429]);

/**
 * GitHub's published OpenAPI description as a judge of requests, answers and webhook payloads.
 * It is read at the first question (about 0.15 s); each schema is compiled when it is first used.
 */
export class OpenApi {
  private loaded: Loaded | undefined;
  private readonly validators = new Map<string, ValidateFunction>();

  /** Whether the description has this operation, e.g. `has("GET", "/repos/{owner}/{repo}")`. */
  has(method: string, template: string): boolean {
    return this.operation(method, template) !== undefined;
  }

  /** What is wrong with a request, one sentence each; empty when nothing is. */
  checkRequest(
    method: string,
    template: string,
    request: { path: Record<string, string>; query: Record<string, string>; body: unknown },
  ): string[] {
    const operation = this.operation(method, template);
    if (!operation) return [`${method} ${template} is not in GitHub's OpenAPI description`];
    const problems: string[] = [];
    const parameters = (operation.parameters ?? []).map((parameter) => this.resolve<Parameter>(parameter));
    const known = new Set(
      parameters.filter((parameter) => parameter.in === "query").map((parameter) => parameter.name),
    );
    for (const name of Object.keys(request.query)) {
      if (!known.has(name)) problems.push(`query: ${name} is not a parameter of this operation`);
    }
    for (const [at, parameter] of parameters.entries()) {
      if (parameter.in === "header") continue;
      const raw = parameter.in === "path" ? request.path[parameter.name] : request.query[parameter.name];
      if (raw === undefined) {
        if (parameter.required) problems.push(`${parameter.in}: ${parameter.name} is required`);
        continue;
      }
      const key = `${method} ${template} ${at}`;
      const validate = this.validator(key, () => parameter.schema, true);
      const holder = { value: raw };
      if (!validate(holder)) problems.push(...describe(validate, `${parameter.in}: ${parameter.name}`, "/value"));
    }
    const schema = operation.requestBody?.content?.["application/json"]?.schema;
    if (request.body === undefined) {
      if (operation.requestBody?.required && schema) problems.push("body: is required");
    } else if (schema) {
      const validate = this.validator(`${method} ${template} body`, () => schema);
      if (!validate(request.body)) problems.push(...describe(validate, "body"));
      problems.push(...this.unknownProperties(schema, request.body));
    }
    return problems;
  }

  /** What is wrong with an answer to an operation; empty when nothing is. */
  checkAnswer(method: string, template: string, status: number, body: unknown): string[] {
    const operation = this.operation(method, template);
    if (!operation) return [`${method} ${template} is not in GitHub's OpenAPI description`];
    const described = operation.responses[String(status)];
    if (!described) {
      const generic = EVERYWHERE.has(status) || status >= 500;
      return generic ? this.checkError(status, body) : [`status ${status} is not an answer of this operation`];
    }
    const response = this.resolve<{ content?: Record<string, { schema?: Schema }> }>(described);
    const schema = response.content?.["application/json"]?.schema;
    if (!schema) return status >= 400 || body === undefined ? [] : [`status ${status} has no body here`];
    const validate = this.validator(`${method} ${template} ${status}`, () => schema);
    return validate(body) ? [] : describe(validate, `answer ${status}`);
  }

  /** What is wrong with a webhook's payload; events that the description does not have are a problem too. */
  checkWebhook(event: string, action: string | undefined, payload: unknown): string[] {
    const name = [event, action].filter(Boolean).join("-").replaceAll("_", "-");
    const schema = this.load().description["x-webhooks"][name]?.post.requestBody?.content?.["application/json"]?.schema;
    if (!schema) return [`GitHub's OpenAPI description has no webhook ${name}`];
    const validate = this.validator(`webhook ${name}`, () => schema);
    return validate(payload) ? [] : describe(validate, `webhook ${name}`);
  }

  private checkError(status: number, body: unknown): string[] {
    if (status === 304) return body === undefined ? [] : ["304 has no body"];
    const message = (body as { message?: unknown } | undefined)?.message;
    return typeof message === "string" ? [] : [`answer ${status} has no message`];
  }

  /** Misspelled properties, where the description lists all that there are. */
  private unknownProperties(schema: Schema, body: unknown): string[] {
    const resolved = this.resolve<Schema>(schema);
    const properties = resolved.properties as Schema | undefined;
    const open = ["anyOf", "oneOf", "allOf"].some((word) => word in resolved) || resolved.additionalProperties;
    if (!properties || open || typeof body !== "object" || body === null || Array.isArray(body)) return [];
    return Object.keys(body)
      .filter((name) => !(name in properties))
      .map((name) => `body: ${name} is not a property of this operation`);
  }

  private operation(method: string, template: string): Operation | undefined {
    return this.load().description.paths[template]?.[method.toLowerCase()];
  }

  private resolve<T>(value: unknown): T {
    const reference = (value as { $ref?: string }).$ref;
    if (!reference) return value as T;
    const steps = reference.slice(2).split("/");
    return steps.reduce<unknown>((node, step) => (node as Record<string, unknown>)[step], this.load().description) as T;
  }

  private validator(key: string, schema: () => Schema, coerced = false): ValidateFunction {
    const known = this.validators.get(key);
    if (known) return known;
    const { ajv, coercingAjv } = this.load();
    const own = this.selfContained(schema());
    const made = coerced
      ? coercingAjv.compile({ type: "object", properties: { value: own }, required: ["value"] })
      : ajv.compile(own);
    this.validators.set(key, made);
    return made;
  }

  /** The schema with references that ajv can follow; the components behind them are added when first needed. */
  private selfContained(schema: Schema): Schema {
    const { ajv, coercingAjv, added, description } = this.load();
    const prepared = rewriteNullable(structuredClone(schema)) as Schema;
    const visit = (node: unknown): void => {
      if (typeof node !== "object" || node === null) return;
      const holder = node as Schema;
      if (typeof holder.$ref === "string" && holder.$ref.startsWith(COMPONENTS)) {
        const name = holder.$ref.slice(COMPONENTS.length);
        holder.$ref = `gh:${name}`;
        if (!added.has(name)) {
          added.add(name);
          const component = this.selfContained(description.components.schemas?.[name] as Schema);
          ajv.addSchema(component, `gh:${name}`);
          coercingAjv.addSchema(component, `gh:${name}`);
        }
      }
      for (const value of Object.values(holder)) visit(value);
    };
    visit(prepared);
    return prepared;
  }

  private load(): Loaded {
    if (!this.loaded) {
      // The package's root would load every description there is (570 MB); this is the one of github.com.
      const file = createRequire(import.meta.url).resolve("@octokit/openapi/generated/api.github.com.json");
      const description = JSON.parse(readFileSync(file, "utf8")) as Description;
      this.loaded = { description, ajv: newAjv(false), coercingAjv: newAjv(true), added: new Set() };
    }
    return this.loaded;
  }
}

const COMPONENTS = "#/components/schemas/";

function newAjv(coerceTypes: boolean): Ajv {
  const ajv = new Ajv({ strict: false, validateSchema: false, logger: false, allErrors: false, coerceTypes });
  // The short patterns tell a URI or a time from anything else, and cost a fraction of the exact ones.
  addFormats.default(ajv, { mode: "fast" });
  // A bot's address, `1+name[bot]@users.noreply.github.com`, is not one by the letter of the RFC.
  ajv.addFormat("email", /^[^\s@]+@[^\s@]+$/);
  return ajv;
}

/** OpenAPI 3.0 says `nullable`, which ajv knows only beside `type`, and only with null among an enum's values. */
function rewriteNullable(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(rewriteNullable);
  if (typeof node !== "object" || node === null) return node;
  const schema = node as Schema;
  for (const [key, value] of Object.entries(schema)) {
    if (typeof value === "object") schema[key] = rewriteNullable(value);
  }
  if (Array.isArray(schema.enum) && schema.enum.includes("check_run") && schema.enum.includes("issues")) {
    // The lists of an App's events leave out some that exist, such as workflow_job.
    delete schema.enum;
  }
  const parts = (schema.allOf ?? []) as Schema[];
  if (parts.length === 2 && parts.some(({ title }) => title === "Enterprise")) {
    // The list of installations says that an account is a person and an enterprise; everywhere else it is one of them.
    schema.anyOf = schema.allOf;
    delete schema.allOf;
  }
  if (schema.nullable !== true) return schema;
  const { nullable: _nullable, ...rest } = schema;
  return { anyOf: [{ enum: [null] }, rest] };
}

function describe(validate: ValidateFunction, where: string, strip = ""): string[] {
  return (validate.errors ?? []).map((error) => {
    const path = error.instancePath.startsWith(strip) ? error.instancePath.slice(strip.length) : error.instancePath;
    const allowed = error.params.allowedValues ? ` (${JSON.stringify(error.params.allowedValues)})` : "";
    return `${where}${path}: ${error.message}${allowed}`;
  });
}
