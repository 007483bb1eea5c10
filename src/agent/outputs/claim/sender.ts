// Files for a PersistentVolumeClaim, as the agent sends them to the pod that writes there: one request for each, as they
// come out of BuildKit.

import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import https from "node:https";
import { KilnError } from "../../../errors/index.ts";
import { hostAndPort } from "../../wire/address.ts";
import type { PieceTarget } from "../pieces.ts";

/** The pod, and how to speak to it. PEM texts. */
export interface ReceiverAddress {
  /** `address:port`. */
  readonly address: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** An entry of a folder. */
export interface SentEntry {
  readonly path: string;
  readonly type: "file" | "folder" | "symlink" | "link";
  /** Of a file: permission bits. */
  readonly mode?: number;
  /** Of a link. */
  readonly target?: string;
}

/** One output on its way. Calls must not overlap. All reject with KilnError. */
export interface Sender {
  file(path: string, mode?: number): PieceTarget;
  /** Anything but a file. */
  entry(entry: SentEntry): Promise<void>;
  /** All came: it takes its place. */
  commit(): Promise<void>;
  /** Gives it up; never rejects. */
  discard(): Promise<void>;
}

/** The name in the certificate of the pod that writes, whatever its address. */
export const receiverName = "receiver.kiln.build";
/** What the one file of an output that is one is sent as. */
export const singleName = "file";
/** The pod may be silent for so long, in milliseconds: a volume may be slow. */
const silenceMs = 120_000;
const discardMs = 5_000;

/** Opens output number `index`. Nothing is sent yet. */
export function sender(to: ReceiverAddress, index: number, signal: AbortSignal): Sender {
  // One connection: calls come one after another.
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const { host, port } = hostAndPort(to.address);
  const tls = { ca: to.ca, cert: to.certificate, key: to.key, servername: receiverName };
  const begin = (method: string, path: string, until: AbortSignal): Asked => {
    const request = https.request({ ...tls, agent, host, port, method, path, signal: until });
    request.setTimeout(silenceMs, () => request.destroy(new Error("no answer in time")));
    return asked(request);
  };
  // A file that broke off holds the connection.
  let last: Asked | undefined;
  const call = async (method: string, path: string, until = signal): Promise<void> => {
    const { request, answer } = begin(method, path, until);
    request.end();
    await answer;
  };
  return {
    file(path, mode = 0o644) {
      let open: Asked | undefined;
      const started = (): Asked =>
        (last = open ??= begin("PUT", `${pathOf(index, path)}?mode=${mode}`, signal));
      return {
        write: async (piece) => await started().send(piece),
        async finish(rest) {
          const { request, answer } = started();
          request.end(rest);
          await answer;
        },
        abort: async () => void open?.request.destroy(),
      };
    },
    async entry({ path, type, target = "" }) {
      const query = new URLSearchParams({ type, target });
      await call("PUT", `${pathOf(index, path)}?${query.toString()}`);
    },
    async commit() {
      await call("POST", `/${index}`);
      agent.destroy();
    },
    async discard() {
      last?.request.destroy();
      await call("DELETE", `/${index}`, AbortSignal.timeout(discardMs)).catch(() => undefined);
      agent.destroy();
    },
  };
}

interface Asked {
  readonly request: ClientRequest;
  /** Resolves when all was taken. */
  readonly answer: Promise<void>;
  /** Resolves when the bytes are on their way, and rejects with the answer if one came before. */
  send(piece: Buffer): Promise<void>;
}

function asked(request: ClientRequest): Asked {
  const answer = answered(request);
  // Whoever waits hears of it; nobody may wait yet.
  answer.catch(() => undefined);
  const send = async (piece: Buffer): Promise<void> => {
    const sent = new Promise<void>((resolve) => request.write(piece, () => resolve()));
    await Promise.race([sent, answer]);
  };
  return { request, answer, send };
}

async function answered(request: ClientRequest): Promise<void> {
  let status: number | undefined;
  let text = "";
  try {
    const [response] = (await once(request, "response")) as [IncomingMessage];
    status = response.statusCode;
    for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString("utf8");
  } catch (error) {
    throw unreachable(error);
  }
  if (status !== 200) throw refused(text);
}

function unreachable(cause: unknown): KilnError {
  return new KilnError({
    class: "Infra",
    reason: "OutputPodUnreachable",
    message:
      "The pod that writes an output onto its PersistentVolumeClaim can not be reached by who has the build: see that the namespace of the run lets the builder in at port 8443 (NetworkPolicy).",
    retryable: true,
    cause,
  });
}

const meanings: Readonly<Record<string, readonly [reason: string, what: string]>> = {
  ENOSPC: ["OutputPlaceFull", "has no room left: make it larger, or remove what is not needed"],
  EDQUOT: ["OutputPlaceFull", "has no room left: make it larger, or remove what is not needed"],
  EACCES: ["OutputPlaceDenied", "may not be written by group 65532: give it the path"],
  EPERM: ["OutputPlaceDenied", "may not be written by group 65532: give it the path"],
  EROFS: ["OutputPlaceDenied", "can only be read"],
  LINK: ["OutputPlaceDenied", "has a link in the path: name the path itself"],
  EISDIR: ["OutputPlaceTaken", "has a folder in the place of the file: name another path"],
  ENOTDIR: ["OutputPlaceTaken", "has a file in the place of a folder: name another path"],
};

function refused(text: string): KilnError {
  const { code = "UNKNOWN", message = "" } = parsed(text);
  const meaning = meanings[code];
  if (meaning !== undefined)
    return new KilnError({
      class: "User",
      reason: meaning[0],
      message: `The PersistentVolumeClaim of an output ${meaning[1]}.`,
    });
  return new KilnError({
    class: "Infra",
    reason: "OutputPlaceFailed",
    message: `An output could not be written onto its PersistentVolumeClaim (${code} ${message.slice(0, 200)}); it can be tried again.`,
    retryable: true,
  });
}

function parsed(text: string): { code?: string; message?: string } {
  try {
    return JSON.parse(text) as { code?: string; message?: string };
  } catch {
    return {};
  }
}

function pathOf(index: number, path: string): string {
  return `/${index}/${path.split("/").map(encodeURIComponent).join("/")}`;
}
