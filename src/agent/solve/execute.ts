// One job, run through the BuildKit client: materials become attachables, the answer becomes an outcome with the facts
// that the daemon knows of it. Nothing is thrown: a job always ends in an outcome.

import {
  BuildkitError,
  type BuildkitClient,
  type Endpoint,
  type HistoryRecord,
  type SolveEvent,
  type SolveOptions,
  type SolveRequest,
  type SolveResult,
} from "../../buildkit/index.ts";
import { KilnError } from "../../errors/index.ts";
import type {
  CallFacts,
  Job,
  JobOutcome,
  RecallQuestion,
  Recollection,
  SolveFacts,
  SolveFailure,
} from "../agent.ts";
import { secretValues } from "./attachables.ts";
import { callFacts } from "../facts/call.ts";
import { imageFacts } from "../facts/image.ts";
import { type JobRequest, jobRequest } from "./job-request.ts";
import { lookBack } from "../facts/look-back.ts";
import { provenanceFacts } from "../facts/provenance.ts";
import { redactor } from "../events/redact.ts";

/** Makes a client of a daemon; the caller closes it. */
export type Connect = (endpoint: Endpoint) => BuildkitClient;

/** What a running job is given. */
export interface RunContext {
  readonly connect: Connect;
  /** Folder of local caches; without one they are refused. */
  readonly caches?: string | undefined;
  onEvent(event: SolveEvent): void;
}

/** Reading facts may not hold up a finished run for longer, in milliseconds. */
const factsDeadlineMs = 10_000;
const provenanceType = "https://slsa.dev/provenance/";

/** Runs a job to its end. */
export async function runJob(
  job: Job,
  context: RunContext,
  signal: AbortSignal,
): Promise<JobOutcome> {
  const materials = job.materials.open();
  const redact = redactor(secretValues(materials));
  const client = context.connect(materials.endpoint);
  let sent: JobRequest | undefined;
  try {
    sent = await jobRequest(job, materials, { client, caches: context.caches, signal });
    const { request, attachables } = sent;
    const onEvent = (event: SolveEvent): void => context.onEvent(event);
    const options = { attachables, onEvent, signal };
    if (request.frontendAttrs["requestid"] !== undefined) {
      const facts = await asked(client, request, options, redact);
      return { kind: "succeeded", facts, finishedAt: now() };
    }
    const result = await client.solve(request, options);
    const made = await sent.afterSolve(result);
    const found = { ...(await factsOf(client, job.request, result)), ...made };
    const finished = { request: job.request, facts: found, attachables, redact };
    const facts = await lookBack(client, finished, signal);
    return { kind: "succeeded", facts, finishedAt: now() };
  } catch (error) {
    if (signal.aborted) return { kind: "cancelled", finishedAt: now() };
    const cause = sent === undefined ? error : sent.causeOf(error);
    return { kind: "failed", failure: solveFailure(cause, redact), finishedAt: now() };
  } finally {
    client.close();
  }
}

/** Asks the daemon's history for a ref. Rejects with `KilnError` when the daemon can't be asked. */
export async function recallRef(
  { ref, materials, context }: RecallQuestion,
  connect: Connect,
  signal: AbortSignal,
): Promise<Recollection> {
  const client = connect(materials.open().endpoint);
  try {
    const record = await client.history(ref, signal);
    if (record === undefined) return { kind: "unknown" };
    if (record.active) return { kind: "running" };
    const finishedAt = (record.completedAt ?? new Date()).toISOString();
    if (record.error !== undefined) {
      // Whose caller died is recorded as cancelled; nobody asked for that.
      if (record.error.grpcCode === cancelledCode)
        return { kind: "finished", outcome: { kind: "cancelled", finishedAt } };
      const failure = solveFailure(record.error, redactor(secretValues(materials.open())));
      return { kind: "finished", outcome: { kind: "failed", failure, finishedAt } };
    }
    if (record.result === undefined) return { kind: "unknown" };
    const redact = redactor(secretValues(materials.open()));
    const sources = { record, result: record.result, context, redact };
    const facts = await readFacts(client, sources, signal);
    return { kind: "finished", outcome: { kind: "succeeded", facts, finishedAt } };
  } finally {
    client.close();
  }
}

/** Asks the frontend in place of a build. What it answers is known at once, whatever the history keeps. */
async function asked(
  client: BuildkitClient,
  request: SolveRequest,
  options: SolveOptions,
  redact: (text: string) => string,
): Promise<SolveFacts> {
  const { frontend, frontendAttrs } = request;
  const question = frontendAttrs["requestid"] ?? "";
  let call: CallFacts | undefined;
  await client.build(request, options, async (gateway) => {
    const answer = await gateway.solve({ frontend, frontendAttrs });
    call = callFacts(question, answer.metadata ?? {}, redact);
    return answer;
  });
  return { images: [], baseImages: [], ...(call && { call }) };
}

function now(): string {
  return new Date().toISOString();
}

/** gRPC: the caller of the solve went away, or asked for its end. */
const cancelledCode = 1;

/** An error as plain data without the secrets of the job. */
export function solveFailure(error: unknown, redact: (text: string) => string): SolveFailure {
  if (!(error instanceof KilnError)) {
    const said = redact(error instanceof Error ? error.message : String(error));
    const message = `${said.replace(/[.\s]+$/, "")}. Kiln does not know this error: report it.`;
    return { class: "Infra", reason: "Unexpected", message, retryable: false, logTail: [] };
  }
  const base = {
    class: error.class,
    reason: error.reason,
    message: redact(error.message),
    retryable: error.retryable,
  };
  if (!(error instanceof BuildkitError)) return { ...base, logTail: [] };
  const { step, source, exitCode, logTail } = error;
  return {
    ...base,
    ...(step === undefined ? {} : { step: redact(step) }),
    ...(source === undefined
      ? {}
      : { dockerfile: { path: source.path, line: source.line, endLine: source.endLine } }),
    ...(exitCode === undefined ? {} : { exitCode }),
    // Joined first: a secret with line breaks spans lines.
    logTail: logTail.length === 0 ? [] : redact(logTail.join("\n")).split("\n"),
  };
}

async function factsOf(
  client: BuildkitClient,
  request: SolveRequest,
  result: SolveResult,
): Promise<SolveFacts> {
  const signal = AbortSignal.timeout(factsDeadlineMs);
  try {
    const record = await client.history(request.ref, signal);
    return await readFacts(
      client,
      { record, result, context: request.frontendAttrs["context"] },
      signal,
    );
  } catch {
    // The solve succeeded whatever its daemon says afterwards; what the answer held is still a fact.
    return plainFacts(result);
  }
}

function plainFacts({ digest, cacheManifest }: SolveResult): SolveFacts {
  // The daemon answers with a whole descriptor, as JSON.
  const cacheDigest = /sha256:[0-9a-f]{64}/.exec(cacheManifest ?? "")?.[0];
  return {
    images: digest === undefined ? [] : [{ digest, platforms: [] }],
    baseImages: [],
    ...(cacheDigest === undefined ? {} : { cacheDigest }),
  };
}

interface Sources {
  readonly record: HistoryRecord | undefined;
  readonly result: SolveResult;
  readonly context: string | undefined;
  /** For the answer to a question, which is in the record of one. */
  readonly redact?: (text: string) => string;
}

async function readFacts(
  client: BuildkitClient,
  { record, result, context, redact = String }: Sources,
  signal: AbortSignal,
): Promise<SolveFacts> {
  const read = async (digest: string): Promise<Buffer | undefined> => {
    try {
      return await client.readBlob(digest, signal);
    } catch {
      return undefined;
    }
  };
  const plain = plainFacts(result);
  // The answer to Solve has one digest and the record one for each exporter; of a solve that nobody
  // here waited for there is only the record.
  const exported = (record?.images ?? []).filter(({ platform }) => platform === "");
  const made: { readonly digest: string; readonly exporter?: number }[] =
    exported.length > 0
      ? exported.map(({ descriptor: { digest }, exporter }) => ({ digest, exporter }))
      : plain.images.map(({ digest }) => ({ digest }));
  const images = await Promise.all(
    made.map(async ({ digest, ...which }) => ({ ...which, ...(await imageFacts(digest, read)) })),
  );
  const provenances = (record?.attestations ?? []).filter(({ predicateType }) =>
    predicateType.startsWith(provenanceType),
  );
  const used = await Promise.all(
    provenances.map(async ({ digest }) => usedBy(await read(digest), context)),
  );
  const question = record?.frontendAttrs["requestid"];
  const call =
    question === undefined ? undefined : callFacts(question, result.exporterResponse, redact);
  const bases = new Map(
    used
      .flatMap(({ baseImages }) => baseImages)
      .map((base) => [`${base.ref}@${base.digest}`, base]),
  );
  const baseImages = [...bases.values()];
  return { ...plain, ...used[0], images, baseImages, ...(call && { call }) };
}

function usedBy(
  blob: Buffer | undefined,
  context: string | undefined,
): Pick<SolveFacts, "git" | "http" | "baseImages"> {
  if (blob === undefined) return { baseImages: [] };
  try {
    return provenanceFacts(JSON.parse(blob.toString("utf8")), context);
  } catch {
    return { baseImages: [] };
  }
}
