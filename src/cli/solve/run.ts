// `kiln solve`: one build from its flags to its exit code.
import { buffer } from "node:stream/consumers";
import {
  connect,
  subrequestAttrs,
  subrequestResult,
  type BuildkitClient,
  type SolveOptions,
  type SolveResult,
} from "../../buildkit/index.ts";
import { endpointOf } from "../endpoint.ts";
import { exitCodeOf, failureLines } from "../failure.ts";
import { showProgress } from "../progress.ts";
import { interrupts } from "../signals.ts";
import type { SolveFlags } from "./command.ts";
import { metadataText, writeWhole } from "./metadata.ts";
import { planSolve, type SolvePlan, type Surroundings } from "./plan.ts";

const surroundings: Surroundings = {
  environment: process.env,
  stdoutIsTerminal: process.stdout.isTTY,
  readStdin: async () => (process.stdin.isTTY ? undefined : await buffer(process.stdin)),
  warn: (sentence) => process.stderr.write(`warning: ${sentence}\n`),
};

/** What a build ended with. */
interface Outcome {
  readonly result: SolveResult;
  /** The answer to a question (`--opt requestid=…`), and the code it wants to end with. */
  readonly answer?: { readonly text: string; readonly code: number };
}

/** Runs one build and prints how it goes. Resolves to the exit code. */
export async function runSolve(flags: SolveFlags): Promise<number> {
  const heard = interrupts();
  try {
    const endpoint = endpointOf(flags);
    const plan = await planSolve(flags, surroundings);
    const client = connect(endpoint);
    try {
      const { result, answer } = await build(client, plan, { flags, signal: heard.signal });
      await plan.afterSolve(result);
      if (flags.metadataFile !== undefined)
        writeWhole(flags.metadataFile, metadataText(result.exporterResponse));
      if (answer !== undefined) process.stdout.write(answer.text);
      return answer?.code ?? 0;
    } finally {
      client.close();
      if (flags.refFile !== undefined) writeWhole(flags.refFile, plan.request.ref);
    }
  } catch (error) {
    process.stderr.write(failureLines(error));
    return heard.code() ?? exitCodeOf(error);
  } finally {
    heard.stop();
  }
}

async function build(
  client: BuildkitClient,
  plan: SolvePlan,
  { flags, signal }: { readonly flags: SolveFlags; readonly signal: AbortSignal },
): Promise<Outcome> {
  const progress = showProgress(flags.progress, process.stderr, process.env);
  const options: SolveOptions = {
    attachables: plan.attachables,
    ...(plan.sharedKey === undefined ? {} : { sharedKey: plan.sharedKey }),
    onEvent: (event) => progress.add(event),
    signal,
  };
  try {
    const question = plan.request.frontendAttrs["requestid"];
    if (question !== undefined) return await ask(client, plan, { options, question });
    return { result: await client.solve(plan.request, options) };
  } finally {
    progress.finish();
  }
}

/** A question to the frontend: its answer is metadata that only who plays the frontend's caller sees. */
async function ask(
  client: BuildkitClient,
  { request }: SolvePlan,
  { options, question }: { readonly options: SolveOptions; readonly question: string },
): Promise<Outcome> {
  const { frontend, definition: _definition, frontendAttrs, ...rest } = request;
  let metadata: Readonly<Record<string, Uint8Array>> = {};
  const result = await client.build({ ...rest, frontendAttrs }, options, async (gateway) => {
    const attrs = { ...subrequestAttrs(question), ...frontendAttrs };
    const answer = await gateway.solve({ frontend, frontendAttrs: attrs });
    metadata = answer.metadata ?? {};
    return answer;
  });
  const { text, statusCode } = subrequestResult(metadata);
  if (text !== "") return { result, answer: { text, code: statusCode } };
  const others = Object.entries(metadata).filter(([key]) => key.startsWith("result."));
  const all = others.map(([key, value]) => `${key}\n${Buffer.from(value).toString("utf8")}\n`);
  return { result, answer: { text: all.join(""), code: statusCode } };
}
