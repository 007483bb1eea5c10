// How much is logged? Apart from the logger itself, which commands that log nothing do not load.

/** Levels that `--log-level` takes, quietest last. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

/** One of `logLevels`. */
export type LogLevel = (typeof logLevels)[number];
