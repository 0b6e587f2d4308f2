import { logError, type Reader } from "../log-error.ts";

/** `::error file=a.ts,line=1,col=2,title=…::message`, as a process prints it. */
const command: Reader = (lines, at) => {
  const match = /^::error(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const properties = new Map<string, string>();
  for (const part of (match[1] ?? "").split(",").slice(0, 20)) {
    const equals = part.indexOf("=");
    if (equals > 0) properties.set(part.slice(0, equals).trim(), unescaped(part.slice(equals + 1)));
  }
  const number = (name: string) => /^\d{1,7}$/.exec(properties.get(name) ?? "")?.[0];
  const place = { file: properties.get("file"), line: number("line"), column: number("col") ?? number("column") };
  return { error: logError("actions", unescaped(match[2]!), place), next: at + 1 };
};

/** What the runner says of a step itself; the code with which a command ended is no error of its own. */
const runner: Reader = (lines, at) => {
  const match = /^##\[error\](.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  if (/^Process completed with exit code/.test(match[1]!)) return { next: at + 1 };
  return { error: logError("actions", match[1]!), next: at + 1 };
};

export const actionsReaders: readonly Reader[] = [command, runner];

/** https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts escapes like this. */
function unescaped(text: string): string {
  return text.replace(/%(25|0D|0A|3A|2C)/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
