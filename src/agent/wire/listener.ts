// Who may talk to an agent? A TLS 1.3 listener of our own in front of grpc-js: it asks for a client certificate of Kiln's
// authority and lets in the controller only, and its own certificate can be changed while it listens.

import {
  createServer,
  type PeerCertificate,
  type Server as TlsServer,
  type TLSSocket,
} from "node:tls";
import type { AddressInfo } from "node:net";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { ServerTls } from "./tls-files.ts";

/** Common name of the controller's client certificate: the only one that an agent serves. */
export const controllerName = "kiln controller";

/** What a listener is made of. */
export interface ListenerOptions {
  readonly grpc: Server;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls: ServerTls;
  readonly log: Logger;
}

/** A listening agent. */
export interface Listener {
  readonly port: number;
  /** For connections from now on. */
  renew(tls: ServerTls): void;
  /** Takes no new connection. Those there end with their last call, or are cut after `graceMs` milliseconds. */
  close(graceMs: number): void;
}

/** A handshake may take this long. */
const handshakeMs = 10_000;

/** Listens; rejects when the address can't be had. */
export async function listen(o: ListenerOptions): Promise<Listener> {
  const injector = o.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const server = createServer(
    {
      ...o.tls,
      requestCert: true,
      // The check is `isController`: to refuse here would leave nothing to log.
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMs,
      ALPNProtocols: ["h2"],
    },
    (socket) => {
      if (isController(socket)) injector.injectConnection(socket);
      else refuse(socket, o.log);
    },
  );
  server.on("tlsClientError", (error, { remoteAddress }) => {
    o.log.info({ reason: error.message, peer: remoteAddress }, "connection refused");
  });
  await bound(server, o);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    renew: (tls) => server.setSecureContext(tls),
    close: (graceMs) => {
      server.close();
      injector.drain(graceMs);
    },
  };
}

function isController(socket: TLSSocket): boolean {
  return socket.authorized && nameOf(socket) === controllerName;
}

function refuse(socket: TLSSocket, log: Logger): void {
  const reason = socket.authorized ? "not the controller" : String(socket.authorizationError);
  log.info({ reason, name: nameOf(socket), peer: socket.remoteAddress }, "connection refused");
  socket.destroy();
}

/** Common name of the client's certificate; undefined without one. */
function nameOf(socket: TLSSocket): string | undefined {
  const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  const name = subject?.CN;
  return typeof name === "string" ? name : undefined;
}

async function bound(server: TlsServer, { host, port }: ListenerOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
