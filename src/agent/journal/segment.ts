// One file of a job's log on disk: what it begins with, and how it is read back. Files are read whole; they are small.

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { JobEventSchema } from "../../gen/kiln/agent/v1/agent_pb.ts";
import type { JobEvent } from "../agent.ts";
import { encode } from "../wire/service.ts";
import { fromWire, toWire } from "../wire/events.ts";
import { type Frame, type FrameType, frameOf, framesOf } from "./frames.ts";

/** What every segment of a job says about it. Nothing in here is secret. */
export interface JobHeader {
  readonly ref: string;
  /** ISO time. */
  readonly startedAt: string;
  /** The frontend's `context` attribute: for asking the daemon's history after a restart. */
  readonly context?: string;
}

/** A segment, read. Undecodable ends are left out. */
export interface Segment {
  readonly header: JobHeader | undefined;
  /** The latest record of every vertex, as of the segment's beginning. */
  readonly snapshot: readonly JobEvent[];
  readonly events: readonly JobEvent[];
}

const extension = ".seg";

/** File name of the segment whose first event has this offset: names sort as offsets do. */
export function segmentName(first: number): string {
  return `${String(first).padStart(16, "0")}${extension}`;
}

/** First offsets of the segments in a job's folder, ascending. Rejects when the folder can't be read. */
export async function segmentsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => name.endsWith(extension))
    .map((name) => Number(name.slice(0, -extension.length)))
    .filter((first) => Number.isSafeInteger(first))
    .toSorted((a, b) => a - b);
}

/** The event as a record. */
export function eventFrame(event: JobEvent, type: FrameType = "event"): Buffer {
  return frameOf(type, encode(JobEventSchema, toWire(event)));
}

/** What a segment begins with. */
export function openingFrames(header: JobHeader, snapshot: readonly JobEvent[]): Buffer {
  const head = frameOf("header", Buffer.from(JSON.stringify(header)));
  return Buffer.concat([head, ...snapshot.map((event) => eventFrame(event, "snapshot"))]);
}

/** Reads a segment; undefined when its file is gone. */
export async function readSegment(folder: string, first: number): Promise<Segment | undefined> {
  let file: Buffer;
  try {
    file = await readFile(path.join(folder, segmentName(first)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let header: JobHeader | undefined;
  const snapshot: JobEvent[] = [];
  const events: JobEvent[] = [];
  for (const frame of framesOf(file)) {
    if (frame.type === "header") header = JSON.parse(frame.payload.toString("utf8")) as JobHeader;
    else add(frame.type === "snapshot" ? snapshot : events, frame);
  }
  return { header, snapshot, events };
}

function add(list: JobEvent[], { payload }: Frame): void {
  const event = fromWire(fromBinary(JobEventSchema, payload));
  if (event !== undefined) list.push(event);
}
