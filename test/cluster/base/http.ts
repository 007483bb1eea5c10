// Does a server of a test speak HTTP yet? And a server in the test's own process.

import http from "node:http";
import type { AddressInfo } from "node:net";

/** True once anything answers at the address, be it a refusal. */
export async function answersHttp(url: string): Promise<true | undefined> {
  try {
    await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return true;
  } catch {
    return undefined;
  }
}

/** A server in this process, on a free port of the loopback. */
export interface Served {
  /** `address:port`. */
  readonly host: string;
  /** `http://address:port`. */
  readonly url: string;
  /** Cuts connections, and resolves when the port is free. */
  readonly stop: () => Promise<void>;
}

/** Serves what `answer` says. */
export async function serve(answer: http.RequestListener): Promise<Served> {
  const server = http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return { host, url: `http://${host}`, stop };
}
