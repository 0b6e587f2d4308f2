import { expect, test } from "vitest";
import { systemCallFilter } from "../../src/sandbox/seccomp.ts";

/** Runs the classic BPF program as the kernel does; only the instructions that a filter may use here. */
function decide(filter: Buffer, call: { audit: number; number: number; argument?: number }): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(call.audit, 4);
  data.writeUInt32LE(call.argument ?? 0, 16);
  let accumulator = 0;
  for (let at = 0; at < filter.length / 8; at++) {
    const [code, value] = [filter.readUInt16LE(at * 8), filter.readUInt32LE(at * 8 + 4)];
    const jump = (yes: boolean) => filter.readUInt8(at * 8 + (yes ? 2 : 3));
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else if (code === 0x15) at += jump(accumulator === value);
    else if (code === 0x35) at += jump(accumulator >= value);
    else if (code === 0x45) at += jump((accumulator & value) !== 0);
    else if (code === 0x06) return value;
    else throw new Error(`unknown instruction ${code}`);
  }
  throw new Error("the program ends without an answer");
}

const X64 = 0xc000_003e;
const ALLOW = 0x7fff_0000;
const errno = (number: number) => 0x0005_0000 | number;

test("systemCallFilter lets ordinary calls pass and kills foreign architectures", () => {
  const filter = systemCallFilter("x64")!;
  for (const number of [0, 1, 9, 59, 101, 202, 262, 436]) expect(decide(filter, { audit: X64, number })).toBe(ALLOW);
  expect(decide(filter, { audit: 0x4000_0003, number: 1 })).toBe(0x8000_0000);
  expect(decide(filter, { audit: X64, number: 0x4000_0000 + 41 })).toBe(errno(38));
});

test("systemCallFilter allows threads and refuses user namespaces", () => {
  const filter = systemCallFilter("x64")!;
  expect(decide(filter, { audit: X64, number: 56, argument: 0x003d_0f00 })).toBe(ALLOW);
  expect(decide(filter, { audit: X64, number: 56, argument: 0x1000_0011 })).toBe(errno(1));
  expect(decide(filter, { audit: X64, number: 272, argument: 0x1002_0000 })).toBe(errno(1));
  expect(decide(filter, { audit: X64, number: 435 })).toBe(errno(38));
});

test("systemCallFilter allows the socket families that a network namespace confines", () => {
  for (const [architecture, audit, socket] of [
    ["x64", X64, 41],
    ["arm64", 0xc000_00b7, 198],
  ] as const) {
    const filter = systemCallFilter(architecture)!;
    for (const argument of [1, 2, 10, 16]) expect(decide(filter, { audit, number: socket, argument })).toBe(ALLOW);
    for (const argument of [0, 3, 17, 31, 38, 40, 44])
      expect(decide(filter, { audit, number: socket, argument })).toBe(errno(97));
  }
});

test("systemCallFilter has no filter for an architecture whose call numbers it does not know", () => {
  expect(systemCallFilter("ppc64")).toBeUndefined();
});
