// Ctrl-C: the first asks for an orderly end, the second ends the process.
import { exitCodes } from "./failure.ts";

/** Signals while a command runs. */
export interface Interrupts {
  readonly signal: AbortSignal;
  /** The exit code of the signal that came; undefined: none did. */
  code(): number | undefined;
  stop(): void;
}

/** Listens to SIGINT and SIGTERM until `stop`. */
export function interrupts(): Interrupts {
  const controller = new AbortController();
  let code: number | undefined;
  const hear = (exitCode: number) => (): void => {
    if (code !== undefined) process.exit(exitCode);
    code = exitCode;
    controller.abort();
  };
  const [onInt, onTerm] = [hear(exitCodes.interrupted), hear(exitCodes.terminated)];
  process.on("SIGINT", onInt).on("SIGTERM", onTerm);
  return {
    signal: controller.signal,
    code: () => code,
    stop() {
      process.off("SIGINT", onInt).off("SIGTERM", onTerm);
    },
  };
}
