// The daemon's side of DiffCopy: what a receiver sends and gets, in the order of a test's choosing.
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { PacketSchema, StatSchema, type Packet } from "../../../../src/gen/fsutil/types/wire_pb.ts";
import type { Answer, PeerCall } from "./grpc-call.ts";
import type { SessionPeer } from "./session-peer.ts";

/** Path of the method. */
export const diffCopyPath = "/moby.filesync.v1.FileSync/DiffCopy";

/** Types of packets. */
export const packet = { stat: 0, request: 1, data: 2, fin: 3, error: 4 } as const;

/** A packet as bytes. */
export function packetBytes(init: MessageInitShape<typeof PacketSchema>): Uint8Array {
  return toBinary(PacketSchema, create(PacketSchema, init));
}

/** A DiffCopy call that a test drives. */
export interface Receiving {
  readonly call: PeerCall;
  readonly send: (init: MessageInitShape<typeof PacketSchema>) => void;
  /** From now on this gets every packet. */
  readonly onPacket: (listener: (packet: Packet) => void) => void;
  readonly answer: Promise<Answer>;
}

/** Opens DiffCopy for a directory. */
export function receive(
  session: SessionPeer,
  directory: string,
  headers: Readonly<Record<string, string | string[]>> = {},
): Receiving {
  const call = session.open(diffCopyPath, { "dir-name": directory, ...headers });
  return {
    call,
    send: (init) => void call.send(packetBytes(init)),
    onPacket: (listener) => call.onMessage((bytes) => listener(fromBinary(PacketSchema, bytes))),
    answer: call.answer,
  };
}

/** Takes a directory as buildkitd does: lists it, asks for every file, and counts. */
export async function takeAll(
  session: SessionPeer,
  directory: string,
): Promise<{ entries: number; bytes: number }> {
  const receiving = receive(session, directory);
  const done = Promise.withResolvers<void>();
  let [entries, bytes, pending, listed] = [0, 0, 0, false];
  const check = (): void => {
    if (listed && pending === 0) receiving.send({ type: packet.fin });
  };
  receiving.onPacket(({ type, id, data, stat }) => {
    if (type === packet.stat && stat === undefined) {
      listed = true;
      check();
    } else if (type === packet.stat) {
      if (stat !== undefined && (stat.mode & 0x8f280000) === 0) {
        pending += 1;
        receiving.send({ type: packet.request, id: entries });
      }
      entries += 1;
    } else if (type === packet.data && data.length === 0) {
      pending -= 1;
      check();
    } else if (type === packet.data) bytes += data.length;
    else if (type === packet.fin) done.resolve();
    else done.reject(new Error(`packet ${type} for file ${id}`));
  });
  void receiving.answer.then(({ status, message }) => {
    done.reject(new Error(`the sync ended with status ${status} ${message}`));
  });
  await done.promise;
  receiving.call.stream.end();
  return { entries, bytes };
}

/** Path of the method by which a daemon sends what was built. */
export const fileSendPath = "/moby.filesync.v1.FileSend/DiffCopy";

/** An entry that a daemon sends, and its bytes when it is asked for them. */
export interface Sent {
  readonly stat: MessageInitShape<typeof StatSchema>;
  readonly data?: Uint8Array<ArrayBuffer>;
}

/** Sends entries as buildkitd does, in the order they are given: the list, what is asked for, FIN for FIN. */
export async function sending(
  session: SessionPeer,
  entries: readonly Sent[],
  headers: Readonly<Record<string, string>> = { "buildkit-attachable-exporter-id": "0" },
): Promise<Answer> {
  const call = session.open(fileSendPath, headers);
  const send = (init: MessageInitShape<typeof PacketSchema>): void =>
    void call.send(packetBytes(init));
  call.onMessage((bytes) => {
    const { type, id } = fromBinary(PacketSchema, bytes);
    if (type === packet.request) {
      const { data } = entries[id] ?? {};
      if (data !== undefined) send({ type: packet.data, id, data });
      send({ type: packet.data, id });
    } else if (type === packet.fin) {
      send({ type: packet.fin });
      call.stream.end();
    }
  });
  for (const { stat } of entries) send({ stat });
  send({});
  return call.answer;
}
