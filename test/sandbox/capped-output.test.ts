import fc from "fast-check";
import { expect, test } from "vitest";
import { CappedOutput } from "../../src/sandbox/capped-output.ts";

test("CappedOutput keeps everything that fits", () => {
  const output = new CappedOutput(10);
  output.add(Buffer.from("12345"));
  output.add(Buffer.from("67890"));
  expect(output.text()).toBe("1234567890");
  expect(output.droppedBytes).toBe(0);
});

test("CappedOutput keeps the beginning and the end, and says how much is missing", () => {
  const output = new CappedOutput(6);
  for (const chunk of ["ab", "cdef", "ghi", "j"]) output.add(Buffer.from(chunk));
  expect(output.text()).toBe("abc\n[4 bytes of output dropped]\nhij");
  expect(output.droppedBytes).toBe(4);
});

test("CappedOutput keeps a copy of what it is given", () => {
  const output = new CappedOutput(10);
  const chunk = Buffer.from("same");
  output.add(chunk);
  chunk.fill("x");
  expect(output.text()).toBe("same");
});

test("CappedOutput keeps head and tail for any chunks", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 12, unit: "grapheme-ascii" })),
      fc.integer({ min: 1, max: 40 }),
      (chunks, max) => {
        const output = new CappedOutput(max);
        for (const chunk of chunks) output.add(Buffer.from(chunk));
        const whole = chunks.join("");
        const head = Math.ceil(max / 2);
        const tail = max - head;
        const expected =
          whole.length <= max
            ? whole
            : `${whole.slice(0, head)}\n[${whole.length - max} bytes of output dropped]\n${tail > 0 ? whole.slice(-tail) : ""}`;
        expect(output.text()).toBe(expected);
      },
    ),
  );
});
