import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bubblewrapMissing } from "./available.ts";
import { skips } from "./sandbox.testsuite.ts";

const missing = bubblewrapMissing();
const script = join(dirname(fileURLToPath(import.meta.url)), "proxied-requests.ts");

/** Names of a hosts file that exists for this test alone, in a mount namespace. */
const PRIVATE = {
  "loopback.example": "127.0.0.1",
  "metadata.example": "169.254.169.254",
  "ten.example": "10.9.8.7",
  "seventeen.example": "172.20.1.1",
  "home.example": "192.168.1.1",
  "shared.example": "100.64.1.1",
  "unique.example": "fd12:3456::1",
  "mapped.example": "::ffff:10.9.8.7",
};

test.skipIf(skips(missing))(
  "createRegistryProxy connects to no private address, whatever name leads to it",
  async () => {
    const registry = createServer((_, response) => response.end("package")).listen(0, "127.0.0.1");
    await once(registry, "listening");
    const port = (registry.address() as AddressInfo).port;
    const folder = await mkdtemp(join(tmpdir(), "hosts-"));
    const hosts = join(folder, "hosts");
    const lines = Object.entries({ localhost: "127.0.0.1", ...PRIVATE }).map(
      ([name, address]) => `${address} ${name}\n`,
    );
    await writeFile(hosts, lines.join(""));
    const destinations = [...Object.keys(PRIVATE), "127.0.0.1"].map((name) => `${name}:${port}`);
    const { stdout } = await promisify(execFile)("unshare", [
      ...["-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, process.execPath, script],
      ...destinations,
    ]);
    registry.close();
    await rm(folder, { recursive: true, force: true });
    const statuses: Record<string, unknown> = JSON.parse(stdout);
    expect(statuses[`127.0.0.1:${port}`]).toBe(200); // The proxy works: an address is allowed only when it is named itself.
    for (const name of Object.keys(PRIVATE)) expect(statuses[`${name}:${port}`], name).toBe(403);
  },
);
