import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import type { ProbotOctokit } from "probot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGitHubApp } from "../../src/github/client.ts";
import { insideEffect } from "../../src/github/effect-scope.ts";
import { createRedactor } from "../../src/policy/redact.ts";
import { appClient } from "../../src/run/app-client.ts";
import { privateKey } from "../support/local-app.ts";

const received: { method: string; body: string }[] = [];
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on("end", () => {
    received.push({ method: request.method ?? "", body });
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data: {} }));
  });
});
let octokit: ProbotOctokit;
let asApp: ProbotOctokit;
const secret = "a-secret-value-that-must-not-leave";

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const redactor = createRedactor([{ name: "secret", value: secret }]);
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = { app: { id: 1, privateKey, webhookSecrets: [] }, github: { apiUrl, gitUrl: apiUrl } };
  asApp = appClient(settings, pino({ level: "silent" }));
  const app = createGitHubApp({
    appId: 1,
    apiUrl,
    authenticate: () => Promise.reject(new Error("not needed")),
    redactor,
    log: pino({ level: "silent" }),
  });
  octokit = app.client("a-token", AbortSignal.timeout(60_000));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const mutation =
  "mutation ($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) { clientMutationId } }";

describe("client", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE"])(
    "refuses %s outside of an effect before anything is sent",
    async (method) => {
      const before = received.length;
      await expect(octokit.request(`${method} /repos/o/r/issues`, { title: "x" })).rejects.toThrow(
        /outside ctx\.effect/,
      );
      expect(received).toHaveLength(before);
    },
  );

  test("refuses every method of the REST API that writes, before anything is sent", async () => {
    const before = received.length;
    const writing = methodsOf(octokit).filter(({ method }) => method !== "GET" && method !== "HEAD");
    // Some hundred of them: an empty list would prove nothing.
    expect(writing.length).toBeGreaterThan(300);
    for (const { name, call } of writing) {
      await expect(call(), name).rejects.toThrow(/outside ctx\.effect/);
    }
    expect(received).toHaveLength(before);
  });

  test.each([
    mutation,
    `query Look { viewer { login } } ${mutation.replace("mutation", "mutation Write")}`,
    `# query\n${mutation}`,
  ])("refuses a GraphQL mutation outside of an effect: %s", async (query) => {
    const before = received.length;
    await expect(octokit.graphql(query, { id: "x" })).rejects.toThrow(/outside ctx\.effect/);
    expect(received).toHaveLength(before);
  });

  test.each(["GET", "HEAD"])("lets %s pass outside of an effect", async (method) => {
    await octokit.request(`${method} /repos/o/r`);
    expect(received.at(-1)?.method).toBe(method);
  });

  test("lets a GraphQL query pass outside of an effect", async () => {
    await octokit.graphql("query { viewer { login } }");
    expect(received.at(-1)?.body).toContain("viewer");
  });

  test("writes inside of an effect, without the secrets that it knows", async () => {
    await insideEffect("test", () =>
      octokit.request("POST /repos/o/r/issues", { title: `It is ${secret}`, labels: [secret] }),
    );
    expect(received.at(-1)?.method).toBe("POST");
    expect(received.at(-1)?.body).toContain("It is ");
    expect(received.at(-1)?.body).not.toContain(secret);
  });

  test("leaves the effect's scope when the effect ends", async () => {
    await insideEffect("test", async () => undefined);
    await expect(octokit.request("POST /repos/o/r/issues", { title: "x" })).rejects.toThrow(/outside ctx\.effect/);
  });
});

describe("appClient", () => {
  test.each(["POST /repos/o/r/issues", "DELETE /app/installations/1", "POST /graphql", "PATCH /app/hook/config"])(
    "refuses %s outside of an effect before anything is sent",
    async (route) => {
      const before = received.length;
      await expect(asApp.request(route, { title: "x" })).rejects.toThrow(/outside ctx\.effect/);
      expect(received).toHaveLength(before);
    },
  );

  test("mints tokens and reads outside of an effect", async () => {
    await asApp.request("POST /app/installations/{installation_id}/access_tokens", { installation_id: 1 });
    expect(received.at(-1)?.method).toBe("POST");
    await asApp.request("GET /app");
    expect(received.at(-1)?.method).toBe("GET");
  });
});

/** Every named method of the REST API, each called as far as its own client lets it. */
function methodsOf({ rest }: ProbotOctokit): { name: string; method: string; call: () => Promise<unknown> }[] {
  const scopes = rest as unknown as Record<string, Record<string, unknown>>;
  return Object.keys(scopes).flatMap((scope) =>
    Object.keys(scopes[scope]!).map((name) => {
      const method = scopes[scope]![name] as ((parameters: object) => Promise<unknown>) & {
        endpoint: { DEFAULTS: { method: string } };
      };
      return { name: `${scope}.${name}`, method: method.endpoint.DEFAULTS.method, call: async () => method({}) };
    }),
  );
}
