import { execa } from "execa";

/**
 * Gives directories and all in them to a user and group of the same id. Links are changed, not followed. Only for a
 * worker that is root; throws when `chown` fails.
 */
export async function giveTo(id: number, directories: readonly string[]): Promise<void> {
  if (directories.length > 0) await trusted("chown", ["-hRP", `${id}:${id}`, "--", ...directories]);
}

/** Lets everybody read, so that a cache written by one slot's user can be read by another's. */
export async function makeReadable(directory: string): Promise<void> {
  await trusted("chmod", ["-R", "a+rX,u+w", "--", directory]);
}

async function trusted(file: string, args: string[]): Promise<void> {
  await execa(file, args, { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }, extendEnv: false, stdin: "ignore" });
}
