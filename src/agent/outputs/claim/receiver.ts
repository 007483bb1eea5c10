// The pod that writes outputs onto a PersistentVolumeClaim: it takes files over mutual TLS from the one agent that has the
// attempt, and knows nothing else. Paths: PUT /<output>/<file>, POST /<output> when all came, DELETE /<output> to give up.

import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { singleName } from "./sender.ts";
import { PlaceError, stage, type Staging } from "./staging.ts";

/** An output that is received. */
export interface ReceivedOutput {
  /** Where its claim is mounted. */
  readonly root: string;
  /** Below it. */
  readonly path: string;
  /** It is one file, not a folder. */
  readonly single: boolean;
}

/** What a receiver is made of. PEM texts; `ca` signed the one client that is let in. */
export interface ReceiverOptions {
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly ref: string;
  readonly outputs: Readonly<Record<string, ReceivedOutput>>;
}

/** A listening receiver. */
export interface Receiver {
  readonly port: number;
  /** Ends connections and removes what is not complete. */
  close(): Promise<void>;
}

/** Listens; rejects when the address can't be had. */
export async function receive(o: ReceiverOptions): Promise<Receiver> {
  const opened = new Map<string, Promise<Staging>>();
  const server = createServer(
    { ...o.tls, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" },
    (request, response) => {
      void handle(o, opened, request)
        .then(
          () => answer(response, 200, {}),
          (error: unknown) => answer(response, 409, failureOf(error)),
        )
        // The rest of a body that nobody wants.
        .finally(() => request.resume());
    },
  );
  // A file may take as long as the run may.
  server.requestTimeout = 0;
  await bound(server, o);
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      server.close();
      for (const staging of opened.values())
        await staging.then(async (open) => await open.discard()).catch(() => undefined);
    },
  };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function failureOf(error: unknown): { code: string; message: string } {
  const { code = "UNKNOWN", message } = error as NodeJS.ErrnoException;
  return { code, message };
}

async function handle(
  o: ReceiverOptions,
  opened: Map<string, Promise<Staging>>,
  request: IncomingMessage,
): Promise<void> {
  const url = new URL(request.url ?? "/", "https://receiver");
  const [, index = "", ...names] = url.pathname.split("/").map(decodeURIComponent);
  const place = o.outputs[index];
  if (place === undefined || !Object.hasOwn(o.outputs, index))
    throw new PlaceError("PATH", "there is no such output");
  if (request.method === "DELETE") {
    const found = opened.get(index);
    opened.delete(index);
    await (await found)?.discard();
    return;
  }
  const open = opened.get(index) ?? stage({ root: place.root, path: place.path, ref: o.ref });
  opened.set(index, open);
  const staging = await open;
  if (request.method === "POST") {
    await staging.commit(place.single ? singleName : undefined);
    opened.delete(index);
    return;
  }
  await put(staging, { file: names.join("/"), query: url.searchParams, request });
}

interface Put {
  readonly file: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
}

async function put(staging: Staging, { file, query, request }: Put): Promise<void> {
  const target = query.get("target") ?? "";
  const type = query.get("type");
  if (type === "folder") return await staging.folder(file);
  if (type === "symlink") return await staging.symlink(file, target);
  if (type === "link") return await staging.link(file, target);
  const handle = await staging.create(file, Number(query.get("mode") ?? 0o644));
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) await handle.writeFile(chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function bound(server: Server, { host, port }: ReceiverOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, resolve);
  });
}
