import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { CheckAgentRequestSchema } from "../../../../src/gen/moby/sshforward/v1/ssh_pb.ts";
import { bytesHead, bytesOf } from "../../../../src/buildkit/session/bytes-message.ts";
import { sshProvider, type SshKeys } from "../../../../src/buildkit/session/services/ssh.ts";
import { connection } from "./connection.ts";

const forwardPath = "/moby.sshforward.v1.SSH/ForwardAgent";
const checkPath = "/moby.sshforward.v1.SSH/CheckAgent";

function framed(...body: number[]): Buffer {
  return Buffer.from([0, 0, 0, body.length, ...body]);
}

function message(data: Uint8Array): Buffer {
  return Buffer.concat([bytesHead(data.length), data]);
}

describe("ssh for a build", () => {
  let folder: string;
  let socket: string;
  let server: Server;
  let heard: Buffer[];

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "kiln-ssh-"));
    socket = path.join(folder, "s");
    heard = [];
  });

  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  async function listen(serve: (client: Socket) => void): Promise<void> {
    server = createServer(serve);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  }

  async function talk(
    sources: SshKeys,
    said: Uint8Array[],
    id = "default",
  ): Promise<{ status: number; bytes: Buffer }> {
    const daemon = connection(sshProvider(sources));
    try {
      const headers = { "buildkit.ssh.id": id };
      const { status, messages } = await daemon.call(forwardPath, said.map(message), headers);
      return { status, bytes: Buffer.concat(messages.map(bytesOf)) };
    } finally {
      await daemon.close();
    }
  }

  async function check(sources: SshKeys, id: string): Promise<number> {
    const daemon = connection(sshProvider(sources));
    const request = toBinary(CheckAgentRequestSchema, create(CheckAgentRequestSchema, { id }));
    try {
      return (await daemon.call(checkPath, [request])).status;
    } finally {
      await daemon.close();
    }
  }

  /** An agent that answers each request with its type, and the next number. */
  const agent = (client: Socket): void => {
    client.on("data", (chunk: Buffer) => {
      heard.push(chunk);
      client.write(framed(99, chunk[4] ?? 0));
    });
    client.on("error", () => {});
  };

  it("relays listing and signing to an agent, and refuses the rest itself", async () => {
    await listen(agent);
    const requests = [framed(11), framed(17, 1, 2), framed(13, 5), framed(27, 0), framed(19)];
    const { status, bytes } = await talk({ default: { agent: socket } }, requests);
    assert.equal(status, 0);
    const no = framed(5);
    assert.deepEqual(bytes, Buffer.concat([framed(99, 11), no, framed(99, 13), no, no]));
    assert.deepEqual(heard, [framed(11), framed(13, 5)]);
  });

  it("relays requests that come in pieces", async () => {
    await listen(agent);
    const whole = framed(13, 1, 2, 3);
    const pieces = [...whole].map((byte) => Buffer.of(byte));
    const { bytes } = await talk({ default: { agent: socket } }, pieces);
    assert.deepEqual(bytes, framed(99, 13));
  });

  it("ends when the agent does", async () => {
    await listen((client) => client.on("data", () => client.destroy()));
    const { status } = await talk({ default: { agent: socket } }, [framed(11)]);
    assert.equal(status, 14);
  });

  it("refuses a request without end", async () => {
    await listen(agent);
    const { status } = await talk({ default: { agent: socket } }, [Buffer.from([1, 0, 0, 0])]);
    assert.notEqual(status, 0);
  });

  it("passes the bytes of a raw socket through, also after our half-close", async () => {
    await listen((client) => {
      const all: Buffer[] = [];
      client.on("data", (chunk: Buffer) => all.push(chunk));
      client.on("end", () => client.end(Buffer.concat(all).reverse()));
    });
    const large = Buffer.alloc(300_000, "abc");
    const { status, bytes } = await talk(
      { raw: { raw: socket } },
      [large, Buffer.from("z")],
      "raw",
    );
    assert.equal(status, 0);
    assert.ok(bytes.equals(Buffer.concat([large, Buffer.from("z")]).reverse()));
  });

  it("finds out beforehand whether somebody listens", async () => {
    await listen(() => {});
    const sources: SshKeys = {
      default: { agent: socket },
      gone: { raw: path.join(folder, "none") },
      keys: [generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" })],
    };
    const statuses = await Promise.all(
      ["", "default", "keys", "gone", "other"].map((id) => check(sources, id)),
    );
    assert.deepEqual(statuses, [0, 0, 0, 14, 5]);
  });

  it("lets go of the socket when the daemon ends the call", async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    await listen((client) => {
      client.on("error", () => {});
      client.on("close", () => resolve());
      client.write("hello");
    });
    const daemon = connection(sshProvider({ default: { raw: socket } }));
    const call = daemon.client.request({ ":method": "POST", ":path": forwardPath });
    call.on("error", () => {});
    call.once("data", () => call.destroy());
    await closed;
    await daemon.close();
  });
});
