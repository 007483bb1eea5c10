// The process's root logger: one JSON line an event on standard output. Redaction here is the
// second line of defence; the first is that plans, errors and status never hold a secret.

import { pino } from "pino";
import type { DestinationStream, Logger } from "pino";
import type { LogLevel } from "./log-level.ts";

/** Keys whose values never leave the process, at the top of a line or one or two levels down. */
const secretKeys = [
  "authorization",
  "auth",
  "credentials",
  "data",
  "identitytoken",
  "password",
  "privateKey",
  "secret",
  "secrets",
  "stringData",
  "token",
];

/** Makes the root logger. `destination` is standard output unless a test wants to read the lines. */
export function rootLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: "[redacted]",
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
