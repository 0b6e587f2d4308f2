import { Writable } from "node:stream";
import { type Logger, pino } from "pino";
import type { Redactor } from "../policy/redact.ts";

/** JSON lines on standard output (or `destination`); every line passes the redactor, whatever a caller logs. */
export function createLogger(options: { level: string; redactor: Redactor; destination?: NodeJS.WritableStream }): Logger {
  const destination = options.destination ?? process.stdout;
  const redacting = new Writable({
    write(chunk: Buffer, _encoding, done) {
      destination.write(options.redactor.redact(chunk.toString("utf8")));
      done();
    },
  });
  return pino(
    {
      level: options.level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Probot logs whole requests; signatures and credentials are none of a log's business.
      redact: { paths: ["req.headers", "res.headers", "headers.authorization", "*.headers.authorization"], remove: true },
    },
    redacting,
  );
}
