// A sender in a thread of its own, seen from the main thread. It lives as long as one sync.
import { Worker } from "node:worker_threads";
import type { Folder } from "../tree.ts";
import type { Selection } from "../walk.ts";
import type { Outlet } from "./batch.ts";
import { Pace } from "./pace.ts";
import type { Fault, FromWorker, ToWorker, WorkerTask } from "./thread-messages.ts";

/** A sync that a worker does. */
export interface SendingThread {
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
const tellBytes = 512 * 1024;

/** Sources run as they are, and built files beside each other: the worker has our own extension. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js",
  import.meta.url,
);

/** Starts a worker on a folder; what it has to send goes to the outlet. */
export function startThread(folder: Folder, selection: Selection, outlet: Outlet): SendingThread {
  const task: WorkerTask = { folder, selection };
  const worker = new Worker(workerFile, { workerData: task, name: "kiln-filesync" });
  const tell = (message: ToWorker): void => worker.postMessage(message);
  let [untold, wanted]: [number, number[]] = [0, []];
  const took = (bytes: number): void => {
    untold += bytes;
    if (untold < tellBytes) return;
    tell({ kind: "taken", bytes: untold });
    untold = 0;
  };
  const asking = new Pace(askMs, () => {
    tell({ kind: "request", ids: wanted });
    wanted = [];
  });
  const listed = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  const fail = (error: unknown): void => {
    listed.reject(error);
    failed.reject(error);
  };
  // Whoever waits for the other one first must not leave this one unheard.
  listed.promise.catch(() => {});
  failed.promise.catch(() => {});
  worker.on("message", (message: FromWorker) => {
    switch (message.kind) {
      case "frames": {
        const bytes = message.frames.length;
        const full = outlet(message.frames);
        if (full === undefined) took(bytes);
        else void full.then(() => took(bytes));
        break;
      }
      case "listed":
        listed.resolve();
        break;
      case "failed":
        fail(new ThreadFault(message.fault));
        break;
    }
  });
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error("the thread that reads the folder ended")));
  return {
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
