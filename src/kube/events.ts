// What happened to an object, for `kubectl describe` and `kubectl events`.

import type { KubeObject } from "./object.ts";

/** One Event to be recorded. */
export interface EventNote {
  readonly type: "Normal" | "Warning";
  /** CamelCase, stable. */
  readonly reason: string;
  /** One sentence; cut at 1024 bytes. Never a secret. */
  readonly message: string;
  /** What Kiln was doing, CamelCase. Default: the reason. */
  readonly action?: string;
}

/** Records Events. Returns at once and never throws; drops what the API server will not take. */
export interface EventSink {
  event(object: KubeObject, note: EventNote): void;
}
