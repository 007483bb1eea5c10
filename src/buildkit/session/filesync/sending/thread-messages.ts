// What the main thread and the thread that reads a folder tell each other. Pure.
import type { Folder } from "../tree.ts";
import type { Selection, WalkPosition } from "../walk.ts";
import type { Sent } from "./sender.ts";

/** What a worker is started for. */
export interface WorkerTask {
  readonly folder: Folder;
  readonly selection: Selection;
  /** What the worker fills and the main thread sends; named by its place in this list. */
  readonly memory: readonly SharedArrayBuffer[];
}

/** What went wrong: errors do not keep their properties between threads. */
export interface Fault {
  readonly name: string;
  readonly message: string;
  /** As of node:fs, or "". */
  readonly code: string;
}

/** To the worker; `begin` comes first, once it is ready. */
export type ToWorker =
  | { readonly kind: "begin"; readonly position: WalkPosition; readonly before: Sent }
  | { readonly kind: "request"; readonly ids: readonly number[] }
  | { readonly kind: "taken"; readonly bytes: number; readonly chunks: readonly number[] };

/** From the worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "frames"; readonly frames: Uint8Array<ArrayBuffer> }
  | {
      readonly kind: "chunk";
      readonly chunk: number;
      readonly from: number;
      readonly length: number;
    }
  | { readonly kind: "listed" }
  | { readonly kind: "failed"; readonly fault: Fault };

/** An error in a form that passes between threads. */
export function faultOf(error: unknown): Fault {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), code: "" };
  const name =
    error instanceof SyntaxError
      ? "SyntaxError"
      : error instanceof RangeError
        ? "RangeError"
        : "Error";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { name, message: error.message, code };
}
