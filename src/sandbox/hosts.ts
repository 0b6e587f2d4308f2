import { isIP } from "node:net";
import { Refusal } from "./backend.ts";

export interface HostRules {
  /** When given, no command may ask for another host. */
  proxyHosts?: readonly string[];
  /** Only for tests with a registry of their own on this machine. */
  allowLoopbackHosts?: boolean;
}

const NAME = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const LOOPBACK = /^127\.0\.0\.1:\d+$/;

/**
 * `name:port` entries for the proxy: ports 443 and 80 of each name, or the port that an entry names. Throws a Refusal for
 * an address, a single-label name such as `localhost`, a wildcard above a whole top-level domain, or a host that the
 * operator does not allow. What a name resolves to is checked by the proxy when it connects.
 */
export function allowedDestinations(hosts: readonly string[], rules: HostRules): string[] {
  return hosts.flatMap((entry) => {
    const host = entry.trim().toLowerCase();
    if (rules.allowLoopbackHosts && LOOPBACK.test(host)) return [host];
    const [name = "", port, ...more] = host.split(":");
    if (isIP(host) || more.length > 0 || !NAME.test(name) || isIP(name) || (port !== undefined && !isPort(port))) {
      throw new Refusal(`Cannot allow network host: it must be a DNS name with an optional port, it is "${entry}"`);
    }
    if (rules.proxyHosts && !rules.proxyHosts.includes(name) && !rules.proxyHosts.includes(host)) {
      throw new Refusal(`Cannot allow network host "${entry}": the operator allows ${rules.proxyHosts.join(", ")}`);
    }
    return port === undefined ? [`${name}:443`, `${name}:80`] : [`${name}:${port}`];
  });
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536;
}
