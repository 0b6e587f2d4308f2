import { logError, type Reader } from "../log-error.ts";

const npmLine = /^npm (?:ERR!|error)(?: (.*))?$/;
/** A script's own failure: what failed is told above it. */
const npmScripts = /^(?:ELIFECYCLE|1|\d{1,3})$/;

const npmChatter =
  /^(?:code |path |errno |syscall |node_modules\/|A complete log|For a full report|Fix the upstream|In most cases|While resolving)/;

/** npm: all lines of one failure together, with its code and the first lines that say something. */
const npm: Reader = (lines, at) => {
  const match = npmLine.exec(lines[at]!);
  if (match === null) return undefined;
  let end = at + 1;
  while (end < lines.length && end - at < 200 && npmLine.test(lines[end]!)) end++;
  const said = lines.slice(at, end).map((line) => npmLine.exec(line)?.[1]?.trim() ?? "");
  const code = said.map((text) => /^code (\S{1,60})$/.exec(text)?.[1]).find((found) => found !== undefined);
  if (code !== undefined && npmScripts.test(code)) return { next: end };
  if (code === undefined && !said.some((text) => /^Missing script/.test(text))) return { next: end };
  // Each line begins with the code, or with a word for it.
  const told = said.map((text) => {
    const space = text.indexOf(" ");
    return space > 0 && [code, "notarget", "404"].includes(text.slice(0, space)) ? text.slice(space + 1) : text;
  });
  const usage = told.findIndex((text) => /^(?:Clean install|Usage:)/.test(text));
  const message = told
    .slice(0, usage === -1 ? told.length : usage)
    .filter((text) => text !== "" && !npmChatter.test(text))
    .slice(0, 5);
  return {
    error: logError("npm", [...(code === undefined ? [] : [`${code}:`]), message.join("; ")].join(" ")),
    next: end,
  };
};

const pnpm: Reader = (lines, at) => {
  const match = /^\s{0,4}(?:\[?ERROR\]? )?\s?(ERR_PNPM_\w{1,60})\s{1,4}(.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  // `pnpm run` says with this code that the script failed.
  if (/^ERR_PNPM_RECURSIVE_RUN_FIRST_FAIL|^ERR_PNPM_.*EXEC_FIRST_FAIL/.test(match[1]!)) return { next: at + 1 };
  return { error: logError("pnpm", `${match[1]}: ${match[2]}`), next: at + 1 };
};

/** Codes of Yarn 2 and later that name a failure of an installation; the rest are progress and warnings. */
const berryCodes =
  /^YN(?:0001|0009|0010|0015|0016|0018|0020|0022|0024|0027|0028|0029|0030|0035|0038|0041|0042|0046|0047|0056|0057|0071|0078|0080|0081|0082|0083|0090|0091)$/;

const yarn: Reader = (lines, at) => {
  const line = lines[at]!;
  const berry = /^(?:➤ )?(YN\d{4}): (?:[│└┌·] ?){0,3}(.*)$/.exec(line);
  if (berry !== null && berryCodes.test(berry[1]!))
    return { error: logError("yarn", `${berry[1]}: ${berry[2]}`), next: at + 1 };
  const classic =
    /^error (?:(\S{1,100}: )?(?:An unexpected error|Couldn't find|Your lockfile needs|Incorrect integrity|The engine "|Received invalid|Package "|Failed to|\S{1,214}@\S{1,100}: |Found incompatible|Command ".{0,200}" not found|No such|Couldn't).*)$/.exec(
      line,
    );
  return classic === null ? undefined : { error: logError("yarn", line.slice("error ".length)), next: at + 1 };
};

/** `docker build`: the failed instruction, and its line in the Dockerfile where BuildKit shows it. */
const docker: Reader = (lines, at) => {
  const line = lines[at]!;
  const classic = /^(?:ERROR: )?(The command '.*' returned a non-zero code: \d{1,3})$/.exec(line);
  if (classic !== null) return { error: logError("docker", classic[1]!), next: at + 1 };
  const match = /^(?:ERROR: )?(?:failed to solve|failed to build)(?: with frontend \S{1,60})?: (.*)$/.exec(line);
  const parse = /^(?:Error response from daemon: )?(dockerfile parse error.*|.*unknown instruction: .*)$/i.exec(line);
  if (match === null && parse === null) return undefined;
  const message = (match ?? parse)![1]!;
  const said = /(?:dockerfile parse error )?on line (\d{1,7})/i.exec(message);
  if (said !== null) return { error: logError("docker", message, { file: "Dockerfile", line: said[1] }), next: at + 1 };
  for (let before = at - 1; before >= 0 && at - before < 40; before--) {
    const place = /^(\S{0,200}(?:Dockerfile|Containerfile|\.dockerfile)\S{0,60}):(\d{1,7})$/i.exec(lines[before]!);
    if (place !== null) return { error: logError("docker", message, { file: place[1], line: place[2] }), next: at + 1 };
  }
  return { error: logError("docker", message), next: at + 1 };
};

/** Debian's and Alpine's package managers, which images and workflows call. */
const systemPackages: Reader = (lines, at) => {
  const match = /^E: ((?:Unable to|Package|Version|Could not|Failed|Some|The repository).*)$/.exec(lines[at]!);
  if (match !== null) return { error: logError("apt", match[1]!), next: at + 1 };
  const shell = /^(?:\/?[\w/.-]{1,200}: )?(?:line )?\d{1,6}: (\S{1,200}: (?:command )?not found)$/.exec(lines[at]!);
  return shell === null ? undefined : { error: logError("shell", shell[1]!), next: at + 1 };
};

export const packageReaders: readonly Reader[] = [npm, pnpm, yarn, docker, systemPackages];
