import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPublicAddress, isPublicHost, registryHosts } from "../../src/checks/registry-hosts.ts";

describe("registryHosts", () => {
  it("registryHosts returns the default hosts of the ecosystems, sorted and once each", () => {
    expect(registryHosts(["npm", "pnpm", "go"])).toEqual(["proxy.golang.org", "registry.npmjs.org", "sum.golang.org"]);
    expect(registryHosts(["make"])).toEqual([]);
  });

  it("registryHosts extends and replaces by configuration", () => {
    expect(registryHosts(["npm"], { add: ["Packages.Example.com"] })).toEqual([
      "packages.example.com",
      "registry.npmjs.org",
    ]);
    expect(registryHosts(["npm", "pip"], { replace: { npm: ["npm.example.com"] } })).toEqual([
      "files.pythonhosted.org",
      "npm.example.com",
      "pypi.org",
    ]);
  });

  it("registryHosts refuses a configured host that is not public and names it", () => {
    expect(() => registryHosts(["npm"], { add: ["169.254.169.254"] })).toThrow('but is "169.254.169.254"');
    expect(() => registryHosts(["npm"], { replace: { npm: ["*.example.com"] } })).toThrow('but is "*.example.com"');
  });
});

describe("isPublicHost", () => {
  it.each([
    "localhost",
    "LOCALHOST",
    "app.localhost",
    "localhost.",
    "metadata.google.internal",
    "db",
    "printer.local",
    "10.0.0.1",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "1.2.3",
    "a.0x7f",
    "192.168.1.1",
    "172.31.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::1",
    "[::1]",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "2002:0a00:0001::1",
    "64:ff9b::a00:1",
    "127.0.0.1.nip.io",
    "evil.com:443",
    "http://a.com",
    "a..com",
    "-a.com",
    "*.com",
    "",
    ".",
    "a b.com",
    "a.com/x",
    "user@a.com",
    "ä.com",
  ])("isPublicHost refuses %j", (host) => {
    expect(isPublicHost(host)).toBe(false);
  });

  it.each([
    "registry.npmjs.org",
    "Pypi.Org",
    "a-b.example.com",
    "8.8.8.8",
    "2606:4700::1111",
    "[2606:4700::1111]",
    "2002:0808:0808::1",
  ])("isPublicHost takes %j", (host) => {
    expect(isPublicHost(host)).toBe(true);
  });

  it("isPublicAddress refuses every address of the private ranges and never throws", () => {
    const privatePrefixes = ["10", "127", "0", "192.168", "169.254", "172.16", "172.31", "100.64", "224", "255"];
    const privateAddress = fc
      .tuple(fc.constantFrom(...privatePrefixes), fc.array(fc.nat(255), { minLength: 3, maxLength: 3 }))
      .map(([prefix, rest]) => [...prefix.split("."), ...rest].slice(0, 4).join("."));
    fc.assert(fc.property(privateAddress, (address) => !isPublicAddress(address)));
    fc.assert(fc.property(fc.ipV4(), (address) => !isPublicHost(`::ffff:${address}`)));
    fc.assert(fc.property(fc.oneof(fc.ipV6(), fc.string()), (text) => void isPublicHost(text)));
  });
});
