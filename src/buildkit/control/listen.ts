// The daemon's build history as it is asked for: one ref, a list, or everything that happens from now on.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Control, type BuildHistoryRecord } from "../../gen/moby/buildkit/v1/control_pb.ts";
import type { HistoryEvent, HistoryOptions, HistoryRecord } from "../client-types.ts";
import { buildkitError } from "../errors/errors.ts";
import type { CallLimits, Channel } from "../rpc/channel.ts";
import { wholeBlob } from "./blobs.ts";
import { historyRecordOf } from "./history.ts";
import { reopened } from "./reopen.ts";

// Numbers of BuildHistoryEventType in control.proto.
const eventStarted = 0;
const eventDeleted = 2;

/** Whether a failed call says that there is no such ref. */
function isNotFound(error: unknown): boolean {
  if (buildkitError(error).grpcCode === 5) return true;
  const message = error instanceof Error ? error.message : "";
  return /not found|is deleted|file does not exist/.test(message);
}

/**
 * The question for one ref. Not by the field `ref`: a daemon that was asked so never deletes that record, it only
 * hides it (solver/llbsolver/history/buildhistory.go, v0.34.2: an entry of `refs` stays at 0). A filter leaves no trace.
 */
function askFor(ref: string) {
  const plain = /^[\w.-]+$/.test(ref);
  return { ...(plain ? { filter: [`ref==${ref}`] } : { ref }), earlyExit: true };
}

/** Records repeat as a build goes on; the last one holds. Not there is no error, whatever the daemon says. */
async function wireRecord(
  channel: Channel,
  ref: string,
  limits: CallLimits,
): Promise<BuildHistoryRecord | undefined> {
  let found: BuildHistoryRecord | undefined;
  try {
    for await (const { type, record } of channel.serverStream(
      Control.method.listenBuildHistory,
      askFor(ref),
      limits,
    ))
      if (record?.ref === ref) found = type === eventDeleted ? undefined : record;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  return found;
}

/** Deletes a record; fine when it is not there. */
export async function forgetRecord(
  channel: Channel,
  ref: string,
  limits: CallLimits,
): Promise<void> {
  try {
    await channel.unary(Control.method.updateBuildHistory, { ref, delete: true }, limits);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** A record with the whole of its error, which is a blob of its own; with the short form when that is gone. */
async function wholeRecord(
  channel: Channel,
  record: BuildHistoryRecord,
  limits: CallLimits,
): Promise<HistoryRecord> {
  const digest = record.externalError?.digest;
  if (digest === undefined) return historyRecordOf(record);
  try {
    return historyRecordOf(record, await wholeBlob(channel, { digest }, limits));
  } catch (error) {
    if (isNotFound(error)) return historyRecordOf(record);
    throw error;
  }
}

/** One record. */
export async function oneRecord(
  channel: Channel,
  ref: string,
  limits: CallLimits,
): Promise<HistoryRecord | undefined> {
  const record = await wireRecord(channel, ref, limits);
  return record === undefined ? undefined : wholeRecord(channel, record, limits);
}

/** The records there are, latest first. */
export async function listRecords(
  channel: Channel,
  options: HistoryOptions,
  limits: CallLimits,
): Promise<HistoryRecord[]> {
  const records = new Map<string, BuildHistoryRecord>();
  const request = {
    earlyExit: true,
    activeOnly: options.activeOnly ?? false,
    filter: [...(options.filters ?? [])],
    limit: options.limit ?? 0,
  };
  for await (const { type, record } of channel.serverStream(
    Control.method.listenBuildHistory,
    request,
    limits,
  ))
    if (record !== undefined && type !== eventDeleted) records.set(record.ref, record);
  const listed = [...records.values()]
    .sort((a, b) => startOf(b) - startOf(a))
    .slice(0, options.limit ?? records.size);
  return Promise.all(listed.map((record) => wholeRecord(channel, record, limits)));
}

function startOf({ createdAt }: BuildHistoryRecord): number {
  return createdAt === undefined ? 0 : timestampMs(createdAt);
}

/** Knows which records were told already: a stream that is opened again tells all of them from the start. */
export class ToldRecords {
  readonly #told = new Map<string, string>();

  /** What kind of event it is, when it says something new. */
  next(type: number, record: BuildHistoryRecord): HistoryEvent["kind"] | undefined {
    const kind =
      type === eventStarted ? "started" : type === eventDeleted ? "deleted" : "completed";
    const mark = `${kind} ${record.generation} ${record.pinned}`;
    if (this.#told.get(record.ref) === mark) return undefined;
    if (kind === "deleted") this.#told.delete(record.ref);
    else this.#told.set(record.ref, mark);
    return kind;
  }
}

/** What the daemon has, then what happens, over breaks of the connection, until the signal aborts. */
export async function* watchRecords(
  channel: Channel,
  options: Pick<HistoryOptions, "activeOnly"> & { readonly ref?: string },
  limits: { readonly signal: AbortSignal; readonly deadlineMs: number },
): AsyncGenerator<HistoryEvent, void, undefined> {
  const told = new ToldRecords();
  const { signal } = limits;
  const request = { activeOnly: options.activeOnly ?? false };
  const open = () => channel.serverStream(Control.method.listenBuildHistory, request, { signal });
  for await (const { type, record } of reopened(open, { ...limits, onReopen: () => undefined })) {
    if (record === undefined || (options.ref ?? record.ref) !== record.ref) continue;
    const kind = told.next(type, record);
    if (kind !== undefined) yield { kind, record: await wholeRecord(channel, record, limits) };
  }
}
