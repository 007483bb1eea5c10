import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HealthCheckResponseSchema } from "../../../../src/gen/grpc/health/v1/health_pb.ts";
import {
  GetSecretRequestSchema,
  GetSecretResponseSchema,
} from "../../../../src/gen/moby/buildkit/secrets/v1/secrets_pb.ts";
import {
  methodTable,
  SessionError,
  type Attachable,
  type MessageStream,
} from "../../../../src/buildkit/session/attachable.ts";
import { filesync } from "../../../../src/buildkit/session/filesync/send.ts";
import { inMemoryTree } from "../../../../src/buildkit/session/filesync/memory-tree.ts";
import { readPacket } from "../../../../src/buildkit/session/filesync/packets.ts";
import { secretsProvider } from "../../../../src/buildkit/session/services/secrets.ts";
import { connection, type Connection } from "./connection.ts";

const healthPath = "/grpc.health.v1.Health/Check";
const secretPath = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const diffCopyPath = "/moby.filesync.v1.FileSync/DiffCopy";

async function withConnection(
  attachables: Attachable[],
  work: (daemon: Connection) => Promise<void>,
): Promise<void> {
  const daemon = connection(...attachables);
  try {
    await work(daemon);
  } finally {
    await daemon.close();
  }
}

function stream(handle: (stream: MessageStream) => Promise<void>): Attachable {
  return { methods: { "/x.Y/Z": { kind: "stream", handle } } };
}

describe("the server of a session", () => {
  it("is healthy", () =>
    withConnection([], async (daemon) => {
      const { status, messages } = await daemon.call(healthPath, [Buffer.alloc(0)]);
      const [answer] = messages;
      assert.ok(answer !== undefined);
      assert.deepEqual([status, fromBinary(HealthCheckResponseSchema, answer).status], [0, 1]);
    }));

  it("refuses what nobody offers", () =>
    withConnection([], async (daemon) => {
      const { status, message } = await daemon.call("/x.Y/Z", [Buffer.alloc(0)]);
      assert.deepEqual([status, message], [12, "this session does not answer /x.Y/Z"]);
    }));

  it("refuses two offers of one method", () => {
    const one = stream(() => Promise.resolve());
    assert.throws(() => methodTable([one, one]), TypeError);
  });

  it("keeps repeated metadata apart", async () => {
    let seen: readonly string[] | undefined;
    const look = stream((call) => {
      seen = call.metadata.get("include-patterns");
      return Promise.resolve();
    });
    await withConnection([look], async (daemon) => {
      await daemon.call("/x.Y/Z", [], { "include-patterns": ["a, b.txt", "c"] });
    });
    assert.deepEqual(seen, ["a, b.txt", "c"]);
  });

  it("answers with the status that a method gives", () =>
    withConnection([stream(() => Promise.reject(new SessionError(5, "no é")))], async (daemon) => {
      const { status, message } = await daemon.call("/x.Y/Z", []);
      assert.deepEqual([status, message], [5, "no é"]);
    }));

  it("answers INTERNAL for an accident", () =>
    withConnection([stream(() => Promise.reject(new TypeError("oops")))], async (daemon) => {
      assert.equal((await daemon.call("/x.Y/Z", [])).status, 13);
    }));

  it("tells a method when the daemon gives up", async () => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const wait = stream(
      (call) =>
        new Promise((_resolve, reject) => {
          call.signal.addEventListener("abort", () => {
            resolve();
            reject(call.signal.reason as Error);
          });
        }),
    );
    await withConnection([wait], async (daemon) => {
      const request = daemon.client.request({ ":method": "POST", ":path": "/x.Y/Z" });
      request.on("error", () => {});
      request.once("response", () => request.close(8));
      await aborted;
    });
  });

  it("echoes many messages of all sizes in order", () =>
    withConnection(
      [
        stream(async (call) => {
          for await (const message of call.messages) await call.send(message);
        }),
      ],
      async (daemon) => {
        const sizes = [0, 1, 70_000, 5, 300_000, 2, 0, 65_536];
        const sent = sizes.map((size, index) => Buffer.alloc(size, index));
        const { status, messages } = await daemon.call("/x.Y/Z", sent);
        assert.equal(status, 0);
        assert.deepEqual(
          messages.map((message) => [message.length, message[0]]),
          sent.map((message) => [message.length, message[0]]),
        );
      },
    ));

  it("survives a message that is larger than allowed", () =>
    withConnection(
      [
        stream(async (call) => {
          for await (const _ of call.messages);
        }),
      ],
      async (daemon) => {
        const request = daemon.client.request({ ":method": "POST", ":path": "/x.Y/Z" });
        request.on("error", () => {});
        request.resume();
        const closed = new Promise((resolve) => request.once("close", resolve));
        request.end(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
        await closed;
        assert.equal((await daemon.call(healthPath, [Buffer.alloc(0)])).status, 0);
      },
    ));

  it("stays healthy while a tree of 30,000 files is sent", async function () {
    this.timeout(20_000); // on a busy machine
    const files = Array.from(
      { length: 30_000 },
      (_, index) => [`d${index % 100}/f${index}`, { data: "x" }] as const,
    );
    const tree = filesync({ context: inMemoryTree(new Map(files)) });
    await withConnection([tree], async (daemon) => {
      let listed = 0;
      let done = false;
      const request = daemon.client.request({
        ":method": "POST",
        ":path": diffCopyPath,
        "dir-name": "context",
      });
      const ended = new Promise<void>((resolve, reject) => {
        request.on("data", (chunk: Buffer) => {
          listed += chunk.length;
          if (chunk.subarray(-5).equals(Buffer.alloc(5))) resolve();
        });
        request.once("error", reject);
      }).then(() => (done = true));
      let answered = 0;
      while (!done) {
        assert.equal((await daemon.call(healthPath, [Buffer.alloc(0)])).status, 0);
        if (!done) answered++;
      }
      await ended;
      assert.ok(answered > 3, `${answered} answers, ${listed} bytes`);
      request.on("error", () => {});
      request.close(8);
    });
  });
});

describe("secrets", () => {
  const get = async (attachable: Attachable, id: string) => {
    const daemon = connection(attachable);
    try {
      const request = toBinary(GetSecretRequestSchema, create(GetSecretRequestSchema, { id }));
      return await daemon.call(secretPath, [request]);
    } finally {
      await daemon.close();
    }
  };
  const lookup = (id: string) =>
    Promise.resolve(
      new Map([
        ["a", Buffer.from("secret")],
        ["most", Buffer.alloc(500 * 1024)],
        ["more", Buffer.alloc(500 * 1024 + 1)],
      ]).get(id),
    );

  it("gives a secret", async () => {
    const { status, messages } = await get(secretsProvider(lookup), "a");
    assert.equal(status, 0);
    assert.equal(
      Buffer.from(
        fromBinary(GetSecretResponseSchema, messages[0] ?? Buffer.alloc(0)).data,
      ).toString(),
      "secret",
    );
  });

  const others: [sentence: string, id: string, status: number][] = [
    ["knows no other", "b", 5],
    ["gives 500 KiB", "most", 0],
    ["refuses a byte more", "more", 3],
  ];
  for (const [sentence, id, status] of others) {
    it(sentence, async () => assert.equal((await get(secretsProvider(lookup), id)).status, status));
  }
});

describe("file sync against an odd daemon", () => {
  const tree = filesync({ context: inMemoryTree(new Map([["a", { data: "x" }]])) });
  const cases: [
    sentence: string,
    headers: Record<string, string>,
    sent: number[][],
    says: RegExp,
  ][] = [
    ["knows no other directory", { "dir-name": "etc" }, [], /no access allowed to dir "etc"/],
    [
      "has no directory of JavaScript's own",
      { "dir-name": "constructor" },
      [],
      /no access allowed/,
    ],
    [
      "refuses a file that it did not list",
      { "dir-name": "context" },
      [[8, 1, 24, 9]],
      /invalid file id 9/,
    ],
    [
      "hands out a file once",
      { "dir-name": "context" },
      [
        [8, 1, 24, 0],
        [8, 1, 24, 0],
      ],
      /invalid file id/,
    ],
    [
      "refuses packets of the wrong direction",
      { "dir-name": "context" },
      [[8, 2]],
      /unexpected packet/,
    ],
    [
      "refuses a bad pattern",
      { "dir-name": "context", "include-patterns": "a[" },
      [],
      /syntax error in pattern "a\["/,
    ],
    ["notices that the daemon left", { "dir-name": "context" }, [], /left before/],
    [
      "tells what the receiver says",
      { "dir-name": "context" },
      [[8, 4, 34, 2, 104, 105]],
      /receiver: hi/,
    ],
  ];
  for (const [sentence, headers, sent, says] of cases) {
    it(sentence, () =>
      withConnection([tree], async (daemon) => {
        const packets = sent.map((bytes) => Buffer.from(bytes));
        const { status, message, messages } = await daemon.call(diffCopyPath, packets, headers);
        assert.notEqual(status, 0);
        assert.match(message, says);
        const told = messages.map(readPacket).findLast(({ type }) => type === 4);
        if (told !== undefined) assert.match(told.data.toString(), says);
      }),
    );
  }
});
