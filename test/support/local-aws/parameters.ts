import type { IncomingMessage, ServerResponse } from "node:http";

/** What SSM and Secrets Manager hold, by name. A secret is also found by an ARN that ends with its name. */
export interface LocalParameters {
  parameters: Map<string, string>;
  secrets: Map<string, string>;
  /** One line for each answer: the operation and the names that were asked for. */
  requests: string[];
}

/** SSM GetParameter and GetParameters, Secrets Manager GetSecretValue: AWS JSON 1.1 by the header X-Amz-Target. */
export function createLocalParameters() {
  const held: LocalParameters = { parameters: new Map(), secrets: new Map(), requests: [] };

  function serve(request: IncomingMessage, response: ServerResponse, body: Buffer): unknown {
    const target = request.headers["x-amz-target"]?.toString() ?? "";
    const input = JSON.parse(body.toString("utf8")) as { Name?: string; Names?: string[]; SecretId?: string };
    const fail = (code: string, message: string) => send(response, 400, { __type: code, message });
    const found = (name: string) => {
      const value = held.parameters.get(name);
      if (value === undefined) return undefined;
      return { Name: name, Type: "SecureString", Value: value, Version: 1, DataType: "text" };
    };
    held.requests.push(`${target} ${[input.Name, ...(input.Names ?? []), input.SecretId].filter(Boolean).join(" ")}`);
    switch (target) {
      case "AmazonSSM.GetParameter": {
        const parameter = found(input.Name ?? "");
        return parameter ? send(response, 200, { Parameter: parameter }) : fail("ParameterNotFound", input.Name ?? "");
      }
      case "AmazonSSM.GetParameters": {
        const names = input.Names ?? [];
        if (names.length < 1 || names.length > 10) return fail("ValidationException", "From 1 to 10 names.");
        return send(response, 200, {
          Parameters: names.map(found).filter((parameter) => parameter !== undefined),
          InvalidParameters: names.filter((name) => !held.parameters.has(name)),
        });
      }
      case "secretsmanager.GetSecretValue": {
        const id = input.SecretId ?? "";
        const name = [...held.secrets.keys()].find((known) => id === known || id.endsWith(`:secret:${known}`));
        if (name === undefined) {
          return fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
        }
        return send(response, 200, { ARN: id, Name: name, SecretString: held.secrets.get(name) });
      }
      default:
        return fail("UnknownOperationException", `${target} is not known here.`);
    }
  }

  return { held, serve };
}

function send(response: ServerResponse, status: number, value: unknown): unknown {
  return response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(value));
}
