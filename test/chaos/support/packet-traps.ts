import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { type AddressInfo, createConnection, createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Listeners of the machine that nothing in a sandbox may reach; what comes is counted by the name of the trap. */
export interface PacketTraps {
  tcp: Record<string, number>;
  udp: Record<string, number>;
  abstract: string;
  socket: string;
  /** Names of traps that something came to. */
  touched(): string[];
  /** Names of traps that do not even notice this process: they would not notice anybody else. */
  deaf(): Promise<string[]>;
  close(): void;
}

/** Opens them on both loopback addresses, as an abstract socket, and as a socket file at `path` that everyone may use. */
export async function openPacketTraps(path: string): Promise<PacketTraps> {
  const abstract = `millwright-trap-${process.pid}-${Date.now()}`;
  const touched = new Set<string>();
  const listeners: (Server | DatagramSocket)[] = [];
  const listen = async (name: string, place: { host: string } | { path: string }): Promise<number> => {
    const server = createServer((socket) => {
      touched.add(name);
      socket.on("error", () => undefined).destroy();
    });
    server.listen("host" in place ? { ...place, port: 0 } : place);
    await once(server, "listening");
    listeners.push(server);
    const address = server.address() as AddressInfo | string;
    return typeof address === "string" ? 0 : address.port;
  };
  const bind = async (name: string, kind: "udp4" | "udp6", host: string): Promise<number> => {
    const socket = createSocket(kind, () => touched.add(name)).bind(0, host);
    await once(socket, "listening");
    listeners.push(socket);
    return socket.address().port;
  };
  const tcp = {
    "trap four": await listen("tcp 127.0.0.1", { host: "127.0.0.1" }),
    "trap six": await listen("tcp ::1", { host: "::1" }),
  };
  const udp = {
    "trap four": await bind("udp 127.0.0.1", "udp4", "127.0.0.1"),
    "trap six": await bind("udp ::1", "udp6", "::1"),
  };
  await listen("the abstract socket", { path: `\0${abstract}` });
  await listen("the socket file", { path });
  chmodSync(path, 0o777);
  return {
    ...{ tcp, udp, abstract, socket: path },
    touched: () => [...touched],
    async deaf() {
      const connections = [
        { host: "127.0.0.1", port: tcp["trap four"] },
        { host: "::1", port: tcp["trap six"] },
        { path: `\0${abstract}` },
        { path },
      ].map((place) => createConnection(place).on("error", () => undefined));
      const four = createSocket("udp4");
      const six = createSocket("udp6");
      four.send("x", udp["trap four"], "127.0.0.1");
      six.send("x", udp["trap six"], "::1");
      for (let tries = 0; tries < 200 && touched.size < listeners.length; tries += 1) await sleep(20);
      for (const connection of connections) connection.destroy();
      four.close();
      six.close();
      return touched.size === listeners.length ? [] : [`only ${[...touched].join(", ")} noticed`];
    },
    close() {
      for (const listener of listeners) listener.close();
    },
  };
}
