// A WebSocket to the API server, with the same credentials as requests have.

import { WebSocket } from "ws";
import type { Access } from "./credentials.ts";
import { SocketRefused, type SocketRequest } from "./transport.ts";

const maxBodyBytes = 64 * 1024;
/** The API server sends pieces of 32 KiB. */
const maxPayloadBytes = 16 * 1024 * 1024;

/** Resolves when it is open; rejects with `SocketRefused`, the socket's error or the signal's reason. */
export async function openWebSocket(access: Access, request: SocketRequest): Promise<WebSocket> {
  const url = new URL(access.server);
  url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
  const target = `${url.origin}${url.pathname.replace(/\/$/, "")}${request.path}`;
  const socket = new WebSocket(target, [...request.protocols], {
    headers: { ...access.headers, ...request.headers },
    ...(access.proxy === undefined ? {} : { agent: access.proxy }),
    ...access.tls,
    perMessageDeflate: false,
    maxPayload: maxPayloadBytes,
    followRedirects: false,
  });
  return await new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(request.signal.reason);
      socket.terminate();
    };
    request.signal.addEventListener("abort", abort, { once: true });
    const settle = (): void => request.signal.removeEventListener("abort", abort);
    socket.on("error", (error) => {
      settle();
      reject(error);
    });
    socket.on("unexpected-response", (_request, response) => {
      settle();
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        if (body.length < maxBodyBytes) body += chunk;
      });
      const done = (): void => {
        reject(new SocketRefused(response.statusCode ?? 0, body));
        socket.terminate();
      };
      response.on("end", done).on("error", done);
    });
    socket.on("open", () => {
      settle();
      resolve(socket);
    });
  });
}
