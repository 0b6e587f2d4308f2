import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { type LocalBackend, Refusal } from "./backend.ts";
import { commandEnvironment } from "./command-environment.ts";
import { gatewayVariable, openGatewayPort } from "./gateway.ts";
import { limitedShell } from "./limits-prologue.ts";
import type { InsidePaths, Tree } from "./sandbox.ts";
import { isInside, type Toolchain } from "./toolchain.ts";

/**
 * No isolation: a process group with limits and without the worker's environment. Network and all files of the worker's
 * user are open, the number of processes is not limited, and a process that leaves its group outlives the command.
 */
export function none(options: { toolchain: Toolchain }): LocalBackend {
  return {
    name: "none",
    describe: () => "no sandbox: commands run with the worker's own rights",
    unusable: async () => undefined,
    paths,
    close: async () => {},
    async prepare(command, at, limits) {
      const cwd = join(at.directory, command.directory ?? ".");
      if (!isInside(await realpath(cwd).catch(() => cwd), await realpath(at.directory))) {
        throw new Refusal(`Cannot run a command: its directory "${command.directory}" is a link out of the tree`);
      }
      const { network } = command;
      const gateway = network !== "none" && "gateway" in network ? await openGatewayPort(network.gateway) : undefined;
      const env = commandEnvironment(paths(at), options.toolchain, {
        readOnlyHome: at.environment?.readOnly ?? false,
        extra: { ...(gateway && { [gatewayVariable]: gateway.address }), ...command.env },
      });
      const [file = "", ...args] = limitedShell(command.run, { limits, countsProcesses: false, env });
      return { file, args, env: { PATH: "/usr/bin:/bin" }, cwd, release: async () => gateway?.close() };
    },
  };
}

function paths(at: Tree): InsidePaths {
  return { tree: at.directory, home: at.environment?.directory ?? at.temporary, temporary: at.temporary };
}
