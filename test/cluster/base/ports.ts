// Which TCP port is free and stays free until the program that gets it listens? One below the range
// from which the kernel takes ports for outgoing connections.
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const lowest = 20_000;
const highest = 32_000;
const attempts = 200;

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A free TCP port on `host`. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (let n = 0; n < attempts; n += 1) {
    const port = randomInt(lowest, highest);
    if (await canListen(port, host)) return port;
  }
  throw new Error(`found no free port on ${host} between ${lowest} and ${highest}`);
}
