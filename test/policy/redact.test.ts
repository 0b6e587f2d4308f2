import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRedactor } from "../../src/policy/redact.ts";
import { processorMs } from "../support/processor-time.ts";

const token = "ghs_A1b2C3d4E5f6.G7h8-I9j0/K1l2+M3n4";
const key = `-----BEGIN RSA PRIVATE KEY-----\n${"MIIEowIBAAKCAQEAx0".repeat(3)}abc/+\n${"Qq7sT9uVwXyZ01234".repeat(3)}\n-----END RSA PRIVATE KEY-----`;

const encodings: [string, (value: string) => string][] = [
  ["as it is", (value) => value],
  ["in base64", (value) => Buffer.from(value).toString("base64").replace(/=+$/, "")],
  ["in base64 after one byte", (value) => Buffer.from(`x${value}`).toString("base64")],
  ["in base64 after two bytes", (value) => Buffer.from(`xy${value}z`).toString("base64")],
  ["in base64url", (value) => Buffer.from(`a:${value}`).toString("base64url")],
  ["in hexadecimal", (value) => Buffer.from(value).toString("hex")],
  ["in capital hexadecimal", (value) => Buffer.from(value).toString("hex").toUpperCase()],
  ["in spaced hexadecimal", (value) => Buffer.from(value).toString("hex").replace(/../g, "$&:")],
  ["URL-encoded", (value) => encodeURIComponent(value)],
  ["URL-encoded throughout", (value) => Buffer.from(value).toString("hex").replace(/../g, "%$&")],
  ["reversed", (value) => [...value].reverse().join("")],
  ["in JSON", (value) => JSON.stringify(value)],
  ["in JSON in JSON", (value) => JSON.stringify(JSON.stringify(value))],
  ["split over lines", (value) => value.replace(/.{7}/g, "$&\n")],
  ["put together from strings", (value) => value.replace(/.{9}/g, '$&" + "')],
  ["in wrapped base64", (value) => Buffer.from(value).toString("base64").replace(/.{10}/g, "$&\n")],
  ["with zero-width spaces", (value) => [...value].join("\u200b")],
];

describe("createRedactor", () => {
  it.each(encodings)("finds and replaces a value %s", (_, encode) => {
    const redactor = createRedactor([{ name: "GITHUB_TOKEN", value: token }]);
    const text = `before ${encode(token)} after`;
    expect(redactor.contains(text)).toEqual(["GITHUB_TOKEN"]);
    const redacted = redactor.redact(text);
    expect(redacted).toContain("[redacted:GITHUB_TOKEN]");
    expect(redacted.startsWith("before ")).toBe(true);
    expect(redacted.endsWith(" after")).toBe(true);
    expect(redactor.contains(redacted)).toEqual([]);
  });

  it("finds a private key whole, in one line, and one of its lines", () => {
    const redactor = createRedactor([{ name: "PRIVATE_KEY", value: key }]);
    for (const text of [key, key.replaceAll("\n", "\\n"), key.replaceAll("\n", "\r\n"), `x ${key.split("\n")[2]} y`]) {
      expect(redactor.contains(text)).toEqual(["PRIVATE_KEY"]);
    }
    expect(redactor.contains("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----")).toEqual([]);
  });

  it("finds a short value in each alphabet, where separators cannot be allowed for", () => {
    const value = "\u00bf?>~ab";
    const redactor = createRedactor([{ name: "T", value }]);
    for (const encoding of ["base64", "base64url", "hex"] as const)
      expect(redactor.contains(Buffer.from(value).toString(encoding))).toEqual(["T"]);
    expect(redactor.contains(Buffer.from(value).toString("hex").toUpperCase())).toEqual(["T"]);
  });

  it("finds a value in bytes, also in UTF-16", () => {
    const redactor = createRedactor([{ name: "T", value: token }]);
    expect(
      redactor.contains(Buffer.concat([Buffer.from([0xff, 0x80]), Buffer.from(token), Buffer.from([0xfe])])),
    ).toEqual(["T"]);
    expect(redactor.contains(Buffer.from(token, "utf16le"))).toEqual(["T"]);
  });

  it("leaves other text alone, ignores values that are too short, and learns values later", () => {
    const redactor = createRedactor([{ name: "short", value: "dev" }]);
    const text = `for developers: ${token}`;
    expect(redactor.redact(text)).toBe(text);
    redactor.add("late", token);
    expect(redactor.redact(text)).toBe("for developers: [redacted:late]");
  });

  it("names every secret that occurs, and joins overlapping ones", () => {
    const redactor = createRedactor([
      { name: "url", value: `https://u:${token}@host` },
      { name: "token", value: token },
    ]);
    expect(redactor.contains(`https://u:${token}@host`)).toEqual(["token", "url"]);
    expect(redactor.redact(`a https://u:${token}@host b`)).toBe("a [redacted:url] b");
  });

  it("stream never lets a value through, wherever the chunks are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }),
        fc.nat(16),
        (cuts, encoding) => {
          const redactor = createRedactor([{ name: "T", value: token }]);
          const text = `${"log line 1\n".repeat(30)}${encodings[encoding]![1](token)}${"\nlog line 2".repeat(30)}`;
          const stream = redactor.stream();
          let out = "";
          for (let at = 0, index = 0; at < text.length; index++) {
            const size = cuts[index % cuts.length]!;
            out += stream.write(text.slice(at, at + size));
            at += size;
          }
          out += stream.end();
          expect(out).toBe(redactor.redact(text));
          expect(redactor.contains(out)).toEqual([]);
        },
      ),
    );
  });

  it("redact leaves no encoding of any random value in any random text", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 8, maxLength: 60 }),
        fc.nat(encodings.length - 1),
        fc.string(),
        (value, encoding, around) => {
          fc.pre(value.trim().length >= 8);
          const redactor = createRedactor([{ name: "T", value }]);
          const name = encodings[encoding]![0];
          fc.pre(!/spaced|split|put together|wrapped|zero-width/.test(name));
          const text = `${around}|${encodings[encoding]![1](value.trim())}|${around}`;
          expect(redactor.redact(text)).toContain("[redacted:T]");
        },
      ),
    );
  });

  it("searches a megabyte for 200 secrets in linear time", () => {
    const secrets = Array.from({ length: 200 }, (_, index) => ({
      name: `S${index}`,
      value: `${token}${index * 7919}`,
    }));
    const redactor = createRedactor(secrets);
    const text = token.slice(0, 30).repeat(40_000);
    const start = processorMs();
    expect(redactor.contains(text)).toEqual([]);
    expect(processorMs() - start).toBeLessThan(3_000);
  });
});
