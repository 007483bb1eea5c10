// Files for a ConfigMap: small, so they are kept in memory and travel to the controller with the outcome. The agent has
// no right in the cluster; it is the controller that writes them.
import { KilnError } from "../../errors/index.ts";
import type { PieceTarget } from "./pieces.ts";

/** Bytes that the ConfigMaps of one run may have together: what the API server takes in one. */
export const configMapBytes = 1024 * 1024;

/** What the ConfigMap outputs of a run may still have, in bytes. */
export interface Budget {
  left: number;
}

/** Files in memory. */
export interface Collector {
  /** A file under a key. Throws KilnError User `OutputNotAKey` for a name that no key can have. */
  target(key: string): PieceTarget;
  /** Key → base64. */
  data(): Readonly<Record<string, string>>;
}

const keyForm = /^[-._a-zA-Z0-9]{1,253}$/;

/** Collects files within a budget. One that is too large breaks with KilnError User `OutputTooLarge`. */
export function collector(budget: Budget): Collector {
  const files = new Map<string, string>();
  return {
    target(key) {
      if (!keyForm.test(key) || key === "." || key.startsWith("..")) throw notAKey(key);
      return {
        // A whole piece is larger than all that a ConfigMap holds.
        write: () => Promise.reject(tooLarge()),
        finish(rest) {
          budget.left -= rest.length;
          if (budget.left < 0) return Promise.reject(tooLarge());
          files.set(key, rest.toString("base64"));
          return Promise.resolve();
        },
        abort: () => Promise.resolve(),
      };
    },
    data: () => Object.fromEntries(files),
  };
}

function tooLarge(): KilnError {
  return new KilnError({
    class: "User",
    reason: "OutputTooLarge",
    message: `ConfigMaps take ${configMapBytes} bytes (1 MiB) of a run's outputs: use a PersistentVolumeClaim, a bucket or an artifact in a new run.`,
  });
}

function notAKey(name: string): KilnError {
  return new KilnError({
    class: "User",
    reason: "OutputNotAKey",
    message: `A ConfigMap can not have the file ${JSON.stringify(name.slice(0, 200))}: its keys are letters, digits, '.', '_' and '-', without folders. Use an output of kind tar, or another place, in a new run.`,
  });
}
