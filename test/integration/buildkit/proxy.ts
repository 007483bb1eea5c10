// A network between the client and the daemon that a test can break.
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

/** A TCP port that leads to a unix socket. */
export interface Proxy {
  readonly port: number;
  /** Breaks every connection; new ones are taken. */
  reset(): void;
  /** From now on no byte passes in either direction, and nobody is told. */
  freeze(): void;
  stop(): Promise<void>;
}

/** Starts it on a free port of this machine. */
export async function proxy(path: string): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let frozen = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const join = (from: Socket, to: Socket): void => {
    from.on("data", (bytes) => {
      if (!frozen) to.write(bytes);
    });
    from.on("close", () => to.destroy());
  };
  const server = createServer((near) => {
    const far = createConnection(path);
    keep(near);
    keep(far);
    join(near, far);
    join(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reset = (): void => {
    // Only TCP knows a reset; the unix side ends with its peer.
    for (const socket of sockets) {
      if (socket.remoteAddress !== undefined) socket.resetAndDestroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    reset,
    freeze: () => void (frozen = true),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
