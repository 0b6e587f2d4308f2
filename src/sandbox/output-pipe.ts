import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { CappedOutput } from "./capped-output.ts";

const READ_BYTES = 64 * 1024;
let created = 0;

/** The reading end of a command's output. */
export interface OutputPipe {
  /** To be given to the child as stdout or stderr; close it with `started` once the child has it. */
  writeEnd: number;
  started(): void;
  output: CappedOutput;
  /** Settles when nobody holds the writing end any more. */
  ended: Promise<void>;
  close(): void;
}

/**
 * Two pipes made by the kernel's name for them, since Node's own "pipe" is a socket: `echo x > /dev/stderr` fails on one.
 * All reads go into one buffer, so that output of any size adds nothing to the worker's memory but what is kept.
 * `onStdout` is given each part of stdout while it is in that buffer.
 * `directory` is a trusted folder; nothing stays in it.
 */
export async function openOutputPipes(
  directory: string,
  maxBytes: number,
  onStdout?: (chunk: Uint8Array) => void,
): Promise<[OutputPipe, OutputPipe]> {
  const paths = [0, 1].map(() => join(directory, `output-${process.pid}-${created++}`));
  await execa("/usr/bin/mkfifo", ["-m", "666", "--", ...paths], { env: { PATH: "/usr/bin:/bin" }, extendEnv: false });
  const [stdout, stderr] = paths.map((path, index) =>
    openOutputPipe(path, maxBytes, index === 0 ? onStdout : undefined),
  );
  return [stdout!, stderr!];
}

function openOutputPipe(path: string, maxBytes: number, onChunk?: (chunk: Uint8Array) => void): OutputPipe {
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // Without it, opening waits for a writer.
  const writeEnd = openSync(path, constants.O_WRONLY);
  unlinkSync(path);
  const output = new CappedOutput(maxBytes);
  const socket = new Socket({
    fd: readEnd,
    readable: true,
    writable: false,
    onread: {
      buffer: new Uint8Array(READ_BYTES),
      callback: (length, buffer) => {
        output.add(buffer.subarray(0, length));
        onChunk?.(buffer.subarray(0, length));
        return true;
      },
    },
  });
  const ended = new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    socket.once("error", () => resolve());
  });
  socket.resume();
  let open = true;
  const started = () => {
    if (open) closeSync(writeEnd);
    open = false;
  };
  return {
    writeEnd,
    started,
    output,
    ended,
    close: () => {
      started();
      socket.destroy();
    },
  };
}
