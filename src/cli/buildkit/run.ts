// `kiln buildkit …`: one question to a buildkitd each, answered on standard output.
import {
  connect,
  type BuildkitClient,
  type CacheRecord,
  type PruneOptions,
} from "../../buildkit/index.ts";
import { endpointOf, type EndpointFlags } from "../endpoint.ts";
import { exitCodeOf, failureLines } from "../failure.ts";
import { invalidFlag } from "../flag-error.ts";
import { showProgress } from "../progress.ts";
import { interrupts } from "../signals.ts";
import { pairsText, parseSeconds, parseSize } from "../table.ts";
import type { AskFlags, HistoryFlags, PruneFlags } from "./command.ts";
import {
  historiesText,
  historyJson,
  historyText,
  recordsText,
  usageText,
  workerText,
} from "./texts.ts";

type Question = (client: BuildkitClient, signal: AbortSignal) => Promise<string>;

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Asks, prints, and resolves to the exit code. */
async function ask(flags: EndpointFlags, question: Question): Promise<number> {
  const heard = interrupts();
  try {
    const client = connect(endpointOf(flags));
    try {
      process.stdout.write(await question(client, heard.signal));
      return 0;
    } finally {
      client.close();
    }
  } catch (error) {
    process.stderr.write(failureLines(error));
    return heard.code() ?? exitCodeOf(error);
  } finally {
    heard.stop();
  }
}

/** `info`. */
export async function info(flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const answer = await client.info(signal);
    if (flags.json === true) return json(answer);
    return pairsText([
      ["BuildKit", answer.version],
      ["Revision", answer.revision ?? ""],
    ]);
  });
}

/** `workers`. */
export async function workers(flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const found = await client.workers(signal, flags.filter ?? []);
    return flags.json === true ? json(found) : found.map(workerText).join("\n");
  });
}

/** `du`; the sum only of all records. */
export async function diskUsage(flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const filters = flags.filter ?? [];
    const records = await client.diskUsage(signal, { filters });
    if (flags.json === true) return json(records);
    return recordsText(records) + (filters.length === 0 ? `\n${usageText(records)}` : "");
  });
}

function pruneOptions(flags: PruneFlags): PruneOptions {
  const { all, filter, keepDuration, reservedSpace, maxUsedSpace, minFreeSpace } = flags;
  return {
    ...(all === true ? { all } : {}),
    ...(filter === undefined ? {} : { filters: filter }),
    ...(keepDuration === undefined
      ? {}
      : { keepDurationSeconds: parseSeconds("--keep-duration", keepDuration) }),
    ...(reservedSpace === undefined
      ? {}
      : { reservedSpace: parseSize("--reserved-space", reservedSpace) }),
    ...(maxUsedSpace === undefined
      ? {}
      : { maxUsedSpace: parseSize("--max-used-space", maxUsedSpace) }),
    ...(minFreeSpace === undefined
      ? {}
      : { minFreeSpace: parseSize("--min-free-space", minFreeSpace) }),
  };
}

/** `prune`. */
export async function prune(flags: PruneFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const gone: CacheRecord[] = [];
    for await (const record of client.prune(signal, pruneOptions(flags))) gone.push(record);
    if (flags.json === true) return json(gone);
    return `${recordsText(gone)}\n${usageText(gone).split("\n").at(-2) ?? ""}\n`;
  });
}

/** `history ls`. */
export async function listHistory(flags: HistoryFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const { filter, limit, active } = flags;
    const count = Number(limit);
    if (limit !== undefined && !(Number.isInteger(count) && count > 0))
      throw invalidFlag("--limit", `${limit} is no whole number of at least 1.`);
    const records = await client.histories(signal, {
      ...(filter === undefined ? {} : { filters: filter }),
      ...(limit === undefined ? {} : { limit: count }),
      ...(active === true ? { activeOnly: true } : {}),
    });
    return flags.json === true ? json(records.map(historyJson)) : historiesText(records);
  });
}

/** `history inspect`. */
export async function inspect(ref: string, flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const record = await client.history(ref, signal);
    if (record === undefined)
      throw invalidFlag("<ref>", `the daemon does not know ${ref}; list builds with history ls.`);
    return flags.json === true ? json(historyJson(record)) : historyText(record);
  });
}

/** `history logs`. */
export async function logs(ref: string, flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    const stream = { write: (text: string) => process.stdout.write(text) };
    const progress = showProgress("plain", stream, process.env);
    try {
      await client.follow(ref, { signal, onEvent: (event) => progress.add(event) });
    } finally {
      progress.finish();
    }
    return "";
  });
}

/** `history rm`. */
export async function forget(ref: string, flags: AskFlags): Promise<number> {
  return await ask(flags, async (client, signal) => {
    await client.forget(ref, signal);
    return "";
  });
}
