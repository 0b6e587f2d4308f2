import { expect, test } from "vitest";
import { allowedDestinations } from "../../src/sandbox/hosts.ts";

test("allowedDestinations opens ports 443 and 80 of a name, or the port that it names", () => {
  expect(allowedDestinations(["Registry.npmjs.org", "*.pythonhosted.org:8443"], {})).toEqual([
    "registry.npmjs.org:443",
    "registry.npmjs.org:80",
    "*.pythonhosted.org:8443",
  ]);
});

test("allowedDestinations refuses addresses, local and malformed names", () => {
  const wrong = [
    ...[
      "127.0.0.1",
      "10.0.0.1:443",
      "::1",
      "[::1]:443",
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "127.1",
      "localhost",
    ],
    ...[
      "*",
      "*.com",
      "*.*.com",
      "a..b",
      "-a.example",
      "a.example:0",
      "a.example:65536",
      "a.example:x",
      "user@a.example",
    ],
    ...["http://a.example", "a.example/path", "a example.org", "", "exa\u043cple.org"],
  ];
  for (const host of wrong) expect(() => allowedDestinations([host], {}), host).toThrow(`it is "${host}"`);
});

test("allowedDestinations keeps to the operator's list", () => {
  const rules = { proxyHosts: ["pypi.org", "a.example:8443"] };
  expect(allowedDestinations(["pypi.org", "a.example:8443"], rules)).toEqual([
    "pypi.org:443",
    "pypi.org:80",
    "a.example:8443",
  ]);
  expect(() => allowedDestinations(["registry.npmjs.org"], rules)).toThrow("the operator allows pypi.org");
  expect(() => allowedDestinations(["a.example"], rules)).toThrow("the operator allows");
});

test("allowedDestinations lets only a test name a loopback port", () => {
  expect(allowedDestinations(["127.0.0.1:8080"], { allowLoopbackHosts: true })).toEqual(["127.0.0.1:8080"]);
  expect(() => allowedDestinations(["127.0.0.2:8080"], { allowLoopbackHosts: true })).toThrow();
});
