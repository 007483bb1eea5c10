// A sender of a tree as fsutil's, and worse ones: it lists what it is told, and sends what is asked for.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import {
  exportReceiver,
  toDirectory,
  type DirectoryOptions,
} from "../../../../src/buildkit/session/export/targets.ts";
import {
  dataPacketHead,
  finPacket,
  packetType,
  readPacket,
  statPacket,
  type WireStat,
} from "../../../../src/buildkit/session/filesync/packets.ts";
import { goMode } from "../../../../src/buildkit/session/filesync/tree.ts";
import { play, type Script, type ScriptedDaemon } from "../session/scripted.ts";

/** An entry to send, and the bytes behind it. */
export interface Sent {
  readonly stat: WireStat;
  readonly data?: string;
}

const mtimeNs = 1_700_000_000_000_000_000n;

function stat(path: string, fields: Partial<WireStat>): WireStat {
  return {
    path,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeNs,
    linkname: "",
    devmajor: 0,
    devminor: 0,
    ...fields,
  };
}

/** A regular file. */
export function file(path: string, data: string, fields: Partial<WireStat> = {}): Sent {
  return { stat: stat(path, { size: Buffer.byteLength(data), ...fields }), data };
}

/** A directory. */
export function directory(path: string, fields: Partial<WireStat> = {}): Sent {
  return { stat: stat(path, { mode: (goMode.directory | 0o755) >>> 0, ...fields }) };
}

/** A symlink. */
export function symlink(path: string, linkname: string): Sent {
  return { stat: stat(path, { mode: (goMode.symlink | 0o777) >>> 0, linkname }) };
}

/** A second name of a file. */
export function hardlink(path: string, linkname: string): Sent {
  return { stat: stat(path, { linkname }) };
}

/** A named pipe. */
export function pipe(path: string): Sent {
  return { stat: stat(path, { mode: (goMode.namedPipe | 0o640) >>> 0 }) };
}

/** One DATA packet. */
export function data(id: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([dataPacketHead(id, bytes.length), bytes]);
}

/** A STAT packet. */
export function listed({ stat: entry }: Sent): Buffer {
  return Buffer.from(statPacket(entry));
}

/** Sends a tree as BuildKit does. */
export function sends(...entries: readonly Sent[]): Script {
  return async function* (daemon) {
    yield [...entries.map(listed), statPacket()];
    yield* answers(daemon, entries);
  };
}

function wholeFile(id: number, text: string): Buffer[] {
  const end = data(id, Buffer.alloc(0));
  return text === "" ? [end] : [data(id, Buffer.from(text)), end];
}

/** Answers requests until FIN, and says FIN. */
export async function* answers(
  daemon: ScriptedDaemon,
  entries: readonly Sent[],
): AsyncGenerator<Buffer[], void, undefined> {
  for (let seen = 0; ; ) {
    const fresh = daemon.heard.slice(seen).map(readPacket);
    seen += fresh.length;
    if (fresh.some(({ type }) => type === packetType.error)) return;
    const files = fresh.filter(({ type }) => type === packetType.request);
    if (files.length > 0) yield files.flatMap(({ id }) => wholeFile(id, entries[id]?.data ?? ""));
    else await setImmediate();
    if (fresh.some(({ type }) => type === packetType.fin)) break;
  }
  yield [finPacket()];
}

/** A folder with an output directory in it and something outside of that, which must stay as it is. */
export interface Place {
  readonly folder: string;
  readonly root: string;
  receive(
    script: Script,
    options?: DirectoryOptions,
    metadata?: Readonly<Record<string, readonly string[]>>,
  ): Promise<Buffer[]>;
  remove(): void;
}

/** Makes one. */
export function place(): Place {
  const folder = mkdtempSync(path.join(tmpdir(), "kiln-export-"));
  const root = path.join(folder, "out");
  return {
    folder,
    root,
    receive: (script, options, metadata) =>
      play(exportReceiver({ 0: toDirectory(root, options) }), script, metadata),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
