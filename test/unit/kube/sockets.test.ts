import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readAll } from "../../../src/kube/http/exchange.ts";
import { socketTransport } from "../../../src/kube/http/sockets.ts";
import type { Transport } from "../../../src/kube/http/transport.ts";

/** A server in this process, and a transport to it whose token changes each time it is asked for. */
async function aPair(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets = new Set<unknown>();
  const server = createServer(handle);
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let tokens = 0;
  const transport = socketTransport({
    getCurrentUser: () => null,
    getCurrentCluster: () => ({
      name: "c",
      server: `http://127.0.0.1:${port}/prefix/`,
      skipTLSVerify: true,
    }),
    applyToHTTPSOptions: async (options) => {
      tokens += 1;
      options.headers = { Authorization: `Bearer token-${tokens}` };
    },
  });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      transport.close();
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { transport, sockets, stop };
}

const { signal } = new AbortController();

async function get(transport: Transport, path: string): Promise<[number, string]> {
  const response = await transport.send({ method: "GET", path, signal });
  return [response.status, await readAll(response)];
}

describe("socketTransport", () => {
  it("uses one connection for one request after the other", async () => {
    const { transport, sockets, stop } = await aPair((request, response) => {
      response.end(request.url);
    });
    for (let n = 0; n < 5; n += 1) {
      assert.deepEqual(await get(transport, `/${n}`), [200, `/prefix/${n}`]);
    }
    assert.equal(sockets.size, 1);
    await stop();
  });

  it("keeps watches and requests on different connections", async () => {
    const { transport, sockets, stop } = await aPair((request, response) => {
      if (request.url === "/prefix/watch") response.write("first\n");
      else response.end("x");
    });
    const watch = await transport.send({ method: "GET", path: "/watch", pool: "watch", signal });
    await get(transport, "/a");
    await get(transport, "/b");
    assert.equal(sockets.size, 2);
    watch.cancel();
    await stop();
  });

  it("asks for new credentials once when they are refused", async () => {
    const seen: (string | undefined)[] = [];
    const { transport, stop } = await aPair((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(request.headers.authorization === "Bearer token-2" ? 200 : 401).end();
    });
    assert.equal((await get(transport, "/"))[0], 200);
    assert.deepEqual(seen, ["Bearer token-1", "Bearer token-2"]);
    await stop();
  });

  it("ends a stream with the reason of its signal, and the server sees it end", async () => {
    const closed = Promise.withResolvers<void>();
    const { transport, stop } = await aPair((request, response) => {
      request.once("close", () => closed.resolve());
      response.write("first\n");
    });
    const abort = new AbortController();
    const sent = { method: "GET", path: "/", pool: "watch", signal: abort.signal } as const;
    const response = await transport.send(sent);
    const reading = readAll(response);
    abort.abort(new Error("enough"));
    await assert.rejects(reading);
    await closed.promise;
    await assert.rejects(transport.send(sent), /enough/);
    await stop();
  });

  it("sends nothing after it was closed", async () => {
    const { transport, stop } = await aPair((_, response) => response.end());
    await stop();
    await assert.rejects(get(transport, "/"), /is closed/);
  });
});
