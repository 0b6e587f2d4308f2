// For registry-proxy.integration.test.ts: asks the registry proxy for each `name:port` given, and prints the statuses.
import { request } from "node:http";
import { createRegistryProxy } from "../../src/sandbox/registry-proxy.ts";

const proxy = createRegistryProxy();
const statuses: Record<string, number | string> = {};
for (const destination of process.argv.slice(2)) {
  const session = await proxy.open([destination]);
  statuses[destination] = await new Promise((resolve) => {
    request({
      socketPath: session.socket,
      path: `http://${destination}/`,
      headers: { host: destination },
      timeout: 10_000,
    })
      .once("response", (response) => resolve(response.resume().statusCode ?? 0))
      .once("timeout", () => resolve("timed out"))
      .once("error", (error) => resolve(error.message))
      .end();
  });
  session.close();
}
await proxy.close();
console.log(JSON.stringify(statuses));
