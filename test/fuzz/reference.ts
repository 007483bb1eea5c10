// BuildKit's own Go libraries as an oracle: tools/filesync, asked over its standard input and output.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { bytesOf } from "../../src/buildkit/session/filesync/names.ts";
import { binary } from "../cluster/index.ts";

/** The running oracle. */
export interface Reference {
  /** One verdict for each question, in order. */
  ask(questions: readonly object[]): Promise<unknown[]>;
  stop(): Promise<void>;
}

/** A text as the oracle takes it: one character for each byte. */
export function asBytes(text: string): string {
  return bytesOf(text).toString("latin1");
}

/** Starts the oracle; it is built first when it has to be. */
export async function reference(): Promise<Reference> {
  const child = spawn(await binary("filesync-reference"), {
    stdio: ["pipe", "pipe", "ignore"], // upstream's scanner reports odd characters on stderr
  });
  const lines = createInterface({ input: child.stdout });
  let verdicts: unknown[] = [];
  let wanted = { count: 0, done: () => {} };
  lines.on("line", (line) => {
    verdicts.push(JSON.parse(line));
    if (verdicts.length >= wanted.count) wanted.done();
  });
  lines.on("close", () => wanted.done());
  return {
    async ask(questions) {
      const text = questions.map((question) => `${JSON.stringify(question)}\n`).join("");
      const { promise, resolve } = Promise.withResolvers<void>();
      verdicts = [];
      wanted = { count: questions.length, done: resolve };
      child.stdin.write(text);
      await promise;
      if (verdicts.length < questions.length) throw new Error("the reference ended");
      return verdicts;
    },
    async stop() {
      const exit = once(child, "exit");
      child.stdin.end();
      await exit;
    },
  };
}
