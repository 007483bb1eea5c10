// A sender in a thread of its own, seen from the main thread. It lives as long as one sync.
import { Worker } from "node:worker_threads";
import type { Folder } from "../tree.ts";
import type { Selection, WalkPosition } from "../walk.ts";
import { lent } from "../../../http2/reusable-bytes.ts";
import type { Outlet } from "./batch.ts";
import { Pace } from "./pace.ts";
import { SharedChunks } from "./shared-chunks.ts";
import type { Sent } from "./sender.ts";
import type { Fault, FromWorker, ToWorker, WorkerTask } from "./thread-messages.ts";

/** A sync that a worker does. */
export interface SendingThread {
  /** Whether it can begin. */
  readonly isReady: boolean;
  /** Resolves when it can; rejects as `failed` does. */
  readonly ready: Promise<void>;
  /** Has it send what comes after this position of the list. */
  begin(position: WalkPosition, before: Sent): void;
  /** Settles when all entries are sent; rejects with what went wrong, then or later, as `failed` does. */
  readonly listed: Promise<void>;
  /** Never resolves; rejects with a `ThreadFault` or the worker's own error. */
  readonly failed: Promise<never>;
  request(ids: readonly number[]): void;
  /** Ends the worker, with the files that it has open. */
  end(): Promise<void>;
}

/** What went wrong in the worker. */
export class ThreadFault extends Error {
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.message);
    this.name = "ThreadFault";
    this.fault = fault;
  }
}

/** Each message between threads costs some ten microseconds on both: requests are passed on some at a time. */
const askMs = 2;
/** The worker is told in portions that its bytes were taken: far less than it may have on their way. */
const tellBytes = 256 * 1024;

/** Sources run as they are, and built files beside each other: the worker has our own extension. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js",
  import.meta.url,
);

/** Starts a worker for a folder; what it has to send, once it begins, goes to the outlet. */
export function startThread(folder: Folder, selection: Selection, outlet: Outlet): SendingThread {
  const chunks = new SharedChunks();
  const task: WorkerTask = { folder, selection, memory: chunks.memory };
  const worker = new Worker(workerFile, { workerData: task, name: "kiln-filesync" });
  const tell = (message: ToWorker): void => worker.postMessage(message);
  let wanted: number[] = [];
  const took = telling(tell, chunks);
  const asking = new Pace(askMs, () => {
    tell({ kind: "request", ids: wanted });
    wanted = [];
  });
  let isReady = false;
  const ready = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  const fail = (error: unknown): void => {
    ready.reject(error);
    listed.reject(error);
    failed.reject(error);
  };
  // Whoever waits for the other one first must not leave this one unheard.
  ready.promise.catch(() => {});
  listed.promise.catch(() => {});
  failed.promise.catch(() => {});
  const send = (frames: Uint8Array): void => {
    const bytes = frames.length;
    const full = outlet(frames);
    if (full === undefined) took(bytes);
    else void full.then(() => took(bytes));
  };
  hear(worker, {
    send,
    part: ({ chunk, from, length }) => lent(chunks.part(chunk, from, length)),
    ready() {
      isReady = true;
      ready.resolve();
    },
    listed: listed.resolve,
    fail,
  });
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error("the thread that reads the folder ended")));
  return {
    get isReady() {
      return isReady;
    },
    ready: ready.promise,
    begin: (position, before) => tell({ kind: "begin", position, before }),
    listed: listed.promise,
    failed: failed.promise,
    request(ids) {
      for (const id of ids) wanted.push(id);
      asking.ring();
    },
    async end() {
      asking.stop();
      await worker.terminate();
    },
  };
}

/** Tells the worker, in portions, how many of its bytes were taken. */
function telling(tell: (message: ToWorker) => void, chunks: SharedChunks): (bytes: number) => void {
  let untold = 0;
  return (bytes) => {
    untold += bytes;
    if (untold < tellBytes) return;
    tell({ kind: "taken", bytes: untold, chunks: chunks.takeSent() });
    untold = 0;
  };
}

/** What is done about each message of a worker. */
interface Hearer {
  send(frames: Uint8Array): void;
  part(of: FromWorker & { readonly kind: "chunk" }): Uint8Array;
  ready(): void;
  listed(): void;
  fail(error: unknown): void;
}

function hear(worker: Worker, to: Hearer): void {
  worker.on("message", (message: FromWorker) => {
    switch (message.kind) {
      case "ready":
        to.ready();
        break;
      case "frames":
        to.send(message.frames);
        break;
      case "chunk":
        to.send(to.part(message));
        break;
      case "listed":
        to.listed();
        break;
      case "failed":
        to.fail(new ThreadFault(message.fault));
        break;
    }
  });
}
