import { BlockList, isIP } from "node:net";

/** A package manager that Millwright knows how to run. */
export type Ecosystem =
  | "npm"
  | "pnpm"
  | "yarn"
  | "bun"
  | "pip"
  | "uv"
  | "poetry"
  | "pipenv"
  | "go"
  | "cargo"
  | "maven"
  | "gradle"
  | "dotnet"
  | "bundler"
  | "composer"
  | "make";

const npm = ["registry.npmjs.org"];
const pypi = ["pypi.org", "files.pythonhosted.org"];
const mavenCentral = ["repo.maven.apache.org", "repo1.maven.org"];

// Only hosts that packages are read from; where a registry takes uploads at another host, that one is left out.
const defaultHosts: Record<Ecosystem, readonly string[]> = {
  npm,
  pnpm: npm,
  yarn: [...npm, "registry.yarnpkg.com"],
  bun: npm,
  pip: pypi,
  uv: pypi,
  poetry: pypi,
  pipenv: pypi,
  go: ["proxy.golang.org", "sum.golang.org"],
  cargo: ["index.crates.io", "static.crates.io"],
  maven: mavenCentral,
  gradle: [
    ...mavenCentral,
    "plugins.gradle.org",
    "plugins-artifacts.gradle.org",
    "services.gradle.org",
    "downloads.gradle.org",
  ],
  dotnet: ["api.nuget.org"],
  bundler: ["rubygems.org", "index.rubygems.org"],
  composer: ["repo.packagist.org", "packagist.org", "api.github.com", "codeload.github.com"],
  make: [],
};

export interface RegistryConfiguration {
  /** Hosts beside the defaults, such as a company's registry. */
  add?: readonly string[];
  /** Hosts instead of the defaults of an ecosystem, such as a mirror. */
  replace?: Partial<Record<Ecosystem, readonly string[]>>;
}

/**
 * Returns the hosts that setup may reach for these ecosystems, sorted, lower case, without duplicates (security.md M1a).
 *
 * @throws Error for a configured host that is not a public host name (see {@link isPublicHost})
 */
export function registryHosts(ecosystems: readonly Ecosystem[], configuration: RegistryConfiguration = {}): string[] {
  const hosts = ecosystems.flatMap((ecosystem) => configuration.replace?.[ecosystem] ?? defaultHosts[ecosystem]);
  const all = new Set([...hosts, ...(configuration.add ?? [])].map((host) => host.trim().toLowerCase()));
  for (const host of all) {
    if (!isPublicHost(host)) {
      throw new Error(
        `Registry host refused: it must be a public host name without scheme, port, path or wildcard, but is ${JSON.stringify(host)}`,
      );
    }
  }
  return [...all].sort();
}

/**
 * Returns whether a host may be listed as a registry: a domain name of at least two labels that is not of a local,
 * internal or metadata name, or the literal of a public IP address. A name can still resolve to a private address, so
 * the proxy has to check the resolved address with {@link isPublicAddress} when it connects.
 */
export function isPublicHost(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  const literal = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  if (isIP(literal) !== 0) return isPublicAddress(literal);
  if (name.length > 253) return false;
  const labels = name.split(".");
  if (labels.length < 2 || !labels.every((label) => /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/.test(label))) return false;
  // A name whose last label is a number is read as an IPv4 address by URL parsers (https://url.spec.whatwg.org/#host-parsing).
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!)) return false;
  return !privateNames.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
}

/** Returns whether an IP address is reachable on the public internet: not private, loopback, link-local, metadata, … */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (family === 4) return !privateRanges.check(address, "ipv4");
  const embedded = embeddedIpv4(address);
  if (embedded !== undefined && privateRanges.check(embedded, "ipv4")) return false;
  return !privateRanges.check(address, "ipv6") && publicIpv6.check(address, "ipv6");
}

// RFC 6761, 6762, 7686, 8375, 9476 and the names under which clouds serve metadata.
const privateNames = [
  "localhost",
  "local",
  "localdomain",
  "internal",
  "intranet",
  "lan",
  "home",
  "home.arpa",
  "corp",
  "private",
  "invalid",
  "test",
  "example",
  "onion",
  "arpa",
  "alt",
  "consul",
  "svc",
  "cluster.local",
  "nip.io",
  "sslip.io",
  "xip.io",
  "localtest.me",
  "lvh.me",
  "instance-data.ec2.internal",
  "metadata.google.internal",
];

// https://www.iana.org/assignments/iana-ipv4-special-registry and the IPv6 one.
const privateRanges = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
  // Alibaba Cloud's metadata address lies in 100.64/10; Azure's wire server does not lie in a special range.
  ["168.63.129.16", 32],
] as const) {
  privateRanges.addSubnet(network, prefix, "ipv4");
}
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
] as const) {
  privateRanges.addSubnet(network, prefix, "ipv6");
}
// Only 2000::/3 is global unicast; NAT64 and mapped addresses are judged by the IPv4 address inside.
const publicIpv6 = new BlockList();
publicIpv6.addSubnet("2000::", 3, "ipv6");

// 6to4 (2002::/16) carries an IPv4 address in its second and third group.
function embeddedIpv4(address: string): string | undefined {
  const match = /^2002:([0-9a-f]{1,4}):([0-9a-f]{1,4}):/i.exec(
    new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1),
  );
  if (match === null) return /^2002:/i.test(address) ? "0.0.0.0" : undefined;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
