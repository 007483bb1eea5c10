// Who may talk to an agent, and that its certificates change without a restart and without a build noticing.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { after, before } from "mocha";
import type { JobEvent } from "../../../src/agent/agent.ts";
import {
  type Authority,
  type ClientCertificate,
  issueClient,
  issueServer,
  lifetimes,
  newAuthority,
} from "../../../src/builder/pki/authority.ts";
import { RemoteAgent } from "../../../src/agent/wire/remote.ts";
import type { TlsMaterial } from "../../../src/buildkit/index.ts";
import { authority as plainAuthority, leaf } from "../../cluster/index.ts";
import { type Buildkitd, buildkitd, waitFor } from "../../cluster/index.ts";
import { readFileSync } from "node:fs";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { aJob, Beside, eventsOf, outputOf, pattern, printed } from "./beside.ts";

const material = ({ ca, certificate, key }: ClientCertificate): Partial<TlsMaterial> => ({
  ca,
  cert: certificate,
  key,
});

describe("an agent's certificates", () => {
  let daemon: Buildkitd;
  let beside: Beside;

  before(async () => {
    daemon = await buildkitd();
    beside = await Beside.start(daemon);
  });
  after(async () => {
    await beside.stop();
    await daemon.stop();
  });

  async function refused(over: Partial<TlsMaterial>, why: RegExp): Promise<void> {
    const remote = new RemoteAgent(await beside.endpoint(over));
    try {
      await assert.rejects(remote.info(), (error: Error) => {
        assert.match(error.message, why);
        return true;
      });
    } finally {
      remote.close();
    }
  }

  // TLS 1.3 lets the client send first and learn afterwards: why, is in the agent's log.
  const broken = /failed to connect|alert|ECONNRESET|closed|disconnected|socket|dropped/i;
  const logged = async (why: RegExp): Promise<void> => {
    await waitFor(
      `${String(why)} in the agent's log`,
      async () => {
        const line = beside.process.logTail(1);
        return line.includes("connection refused") && why.test(line) ? true : undefined;
      },
      { deadlineMs: 5_000 },
    );
  };

  it("let the controller in", async () => {
    assert.match((await (await beside.remote()).info()).version, /\d/);
  });

  it("refuse a client of another authority", async () => {
    const { certificate: cert, key } = await issueClient(
      await newAuthority(new Date()),
      new Date(),
    );
    await refused({ cert, key }, broken);
    await logged(/UNABLE_TO|SELF_SIGNED/);
  });

  it("refuse a client's certificate that has expired", async () => {
    const longAgo = new Date(Date.now() - 2 * lifetimes.clientMs);
    const { certificate: cert, key } = await issueClient(beside.authority, longAgo);
    await refused({ cert, key }, broken);
    await logged(/CERT_HAS_EXPIRED/);
  });

  it("refuse another builder's certificate, though the authority is right", async () => {
    const { certificate: cert, key } = await issueServer(beside.authority, pattern, new Date());
    await refused({ cert, key }, broken);
    await logged(/INVALID_PURPOSE/);
  });

  it("are refused under another name, and by who trusts another authority", async () => {
    await refused(
      { serverName: "builder-main.other.builders.kiln.build" },
      /altname|not in the cert/i,
    );
    await refused({ ca: (await newAuthority(new Date())).bundle }, /certificate|issuer/i);
  });

  it("refuse who has none, and who does not speak TLS", async () => {
    const https = await import("node:tls");
    const { tls } = await beside.endpoint();
    const open = https.connect({
      host: "127.0.0.1",
      port: beside.port,
      ca: tls?.ca,
      servername: tls?.serverName ?? "",
      ALPNProtocols: ["h2"],
    });
    await assert.rejects(
      new Promise((resolve, reject) => {
        open.on("error", reject);
        open.on("data", resolve);
        open.on("close", () => reject(new Error("closed")));
      }),
    );
    // No other line has a peer, and no name of one.
    await waitFor(
      "the agent to log it",
      async () =>
        /"reason":"UNABLE_TO_GET_ISSUER_CERT","peer"/.test(beside.process.logTail()) || undefined,
      { deadlineMs: 5_000 },
    );
    const plain = connect(beside.port, "127.0.0.1");
    plain.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await new Promise((resolve) => plain.on("close", resolve).on("error", resolve).resume());
  });

  it("refuse a client of the right authority that is not the controller", async () => {
    const folder = path.join(beside.place.folder, "others");
    const ca = await plainAuthority(folder, "ca");
    const server = await leaf(ca, { name: "s", commonName: "agent", dnsNames: [pattern] });
    const read = (file: string): string => readFileSync(file, "utf8");
    const tlsFolder = path.join(beside.place.folder, "tls");
    const before = ["ca.crt", "tls.crt", "tls.key"].map((name) => read(path.join(tlsFolder, name)));
    const put = (texts: readonly string[]): void =>
      ["ca.crt", "tls.crt", "tls.key"].forEach((name, at) =>
        writeFileSync(path.join(tlsFolder, name), texts[at] ?? ""),
      );
    put([ca.cert, server.cert, server.key].map(read));
    const right = await leaf(ca, { name: "r", commonName: "kiln controller" });
    const wrong = await leaf(ca, { name: "w", commonName: "somebody" });
    const as = (pair: { cert: string; key: string }) => ({
      ca: read(ca.cert),
      cert: read(pair.cert),
      key: read(pair.key),
    });
    const remote = new RemoteAgent(await beside.endpoint(as(right)));
    await waitFor("the new authority to be used", async () => await remote.info(), {
      deadlineMs: 20_000,
    });
    remote.close();
    await refused(as(wrong), broken);
    await logged(/not the controller/);
    put(before);
    await waitFor("the old authority to be used", async () => (await beside.remote()).info(), {
      deadlineMs: 20_000,
    });
  });

  it("change again and again under running builds: none is lost, and who is out stays out", async () => {
    // Lifetimes of seconds: what the builds begin with has expired before they end.
    const leafMs = 30_000;
    const lasting = (lifetimeMs: number, ms: number): Date =>
      new Date(Date.now() - lifetimeMs + ms);
    const aClient = async (of: Authority): Promise<Partial<TlsMaterial>> =>
      material(await issueClient(of, lasting(lifetimes.clientMs, leafMs)));
    const authorityFor = async (previous?: Authority): Promise<Authority> =>
      await newAuthority(lasting(lifetimes.authorityMs, 4 * leafMs), previous);
    /** The agent has the next authority and certificate, and uses them. */
    const rotate = async (next: Authority): Promise<void> => {
      await beside.certify(next, lasting(lifetimes.serverMs, leafMs));
      const now = new RemoteAgent(await beside.endpoint(await aClient(next)));
      await waitFor("the new authority to be used", async () => await now.info(), {
        deadlineMs: 20_000,
      });
      now.close();
    };
    const gone = beside.authority;
    await rotate(await authorityFor());
    const first = await aClient(beside.authority);
    const steady = new RemoteAgent(await beside.endpoint(first));
    const lines = Array.from({ length: 225 }, (_, at) => `line-${at + 1}`);
    const dockerfile = `FROM busybox\nRUN for i in $(seq 1 ${lines.length}); do echo line-$i; sleep 0.2; done\n`;
    const refs = [1, 2, 3, 4, 5].map((n) => `${randomUUID()}-${n}`);
    for (const ref of refs) await steady.start(aJob(ref, dockerfile));
    const steadyReadings = refs.map(async (ref) => await eventsOf(steady, ref));
    for (const ref of refs) await printed(steady, ref, "line-2\n");

    const ended = Promise.all(steadyReadings).then(() => true);
    const parts = new Map(refs.map((ref): [string, JobEvent[]] => [ref, []]));
    let rotations = 0;
    while (!(await Promise.race([ended, pause(0, false)]))) {
      const before = beside.authority;
      await rotate(await authorityFor(before));
      rotations += 1;
      // A client of the authority before is still let in, and what the steady readers dial with is renewed.
      const late = new RemoteAgent(
        await beside.endpoint({ ...(await aClient(before)), ca: beside.authority.bundle }),
      );
      await late.info();
      late.close();
      steady.renew(await beside.endpoint(await aClient(beside.authority)));
      // Readers that come with the certificates of now, and go on where the last one ended.
      const reader = new RemoteAgent(await beside.endpoint(await aClient(beside.authority)));
      for (const [ref, seen] of parts) await readUpToNow(reader, ref, seen);
      reader.close();
    }
    assert.ok(rotations >= 3, `${rotations} rotations`);

    const last = new RemoteAgent(await beside.endpoint(await aClient(beside.authority)));
    for (const [at, steadily] of (await Promise.all(steadyReadings)).entries()) {
      const ref = refs[at] ?? "";
      const seen = parts.get(ref) ?? [];
      // Who asks for what comes after the end is told of the end again.
      if (seen.at(-1)?.kind !== "finished")
        seen.push(...(await eventsOf(last, ref, (seen.at(-1)?.offset ?? -1) + 1)));
      for (const events of [steadily, seen]) {
        const end = events.at(-1);
        assert.equal(end?.kind === "finished" && end.outcome.kind, "succeeded", ref);
        assert.deepEqual(
          events.map(({ offset }) => offset),
          events.map((_, index) => index),
        );
        assert.deepEqual(outputOf(events).match(/line-\d+(?=\n)/g), lines, "each line, once");
      }
      await last.acknowledge(ref);
    }
    last.close();
    steady.close();

    await refused(await aClient(gone), /certificate|issuer/i);
    await refused({ ...(await aClient(gone)), ca: beside.authority.bundle }, broken);
    await logged(/UNABLE_TO|SELF_SIGNED/);
    await refused({ ...first, ca: beside.authority.bundle }, broken);
    await logged(/CERT_HAS_EXPIRED|UNABLE_TO|SELF_SIGNED/);
  });
});

/** Adds to `seen` what the agent has by now and the reader has not seen. */
async function readUpToNow(reader: RemoteAgent, ref: string, seen: JobEvent[]): Promise<void> {
  const job = (await reader.list()).find((one) => one.ref === ref);
  const from = (seen.at(-1)?.offset ?? -1) + 1;
  if (job === undefined || job.nextOffset <= from) return;
  const cut = new AbortController();
  for await (const event of reader.attach(ref, from, cut.signal)) {
    seen.push(event);
    if (event.offset + 1 >= job.nextOffset) cut.abort();
  }
}
