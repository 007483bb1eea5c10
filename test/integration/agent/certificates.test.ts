// Who may talk to an agent, and that its certificates change without a restart and without a build noticing.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { after, before } from "mocha";
import {
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

  it("change twice under running builds: none is lost, and the old authority is out", async () => {
    const refs = [1, 2, 3].map((n) => `${randomUUID()}-${n}`);
    const dockerfile =
      "FROM busybox\nRUN for i in $(seq 1 100); do echo line-$i; sleep 0.2; done\n";
    const remote = await beside.remote();
    for (const ref of refs) await remote.start(aJob(ref, dockerfile));
    const readings = refs.map(async (ref) => await eventsOf(remote, ref));
    for (const ref of refs) await printed(remote, ref, "line-2");
    const old = beside.authority;
    for (const _ of [1, 2]) {
      const next = await newAuthority(new Date(), beside.authority);
      const before = beside.authority;
      await beside.certify(next);
      const client = await issueClient(next, new Date());
      const now = new RemoteAgent(await beside.endpoint(material(client)));
      await waitFor("the new authority to be used", async () => await now.info(), {
        deadlineMs: 20_000,
      });
      now.close();
      // What is there goes on, and a client of the authority before is still let in.
      const { certificate: cert, key } = await issueClient(before, new Date());
      const late = new RemoteAgent(await beside.endpoint({ cert, key, ca: next.bundle }));
      await late.info();
      late.close();
      remote.renew(await beside.endpoint(material(client)));
    }
    const { certificate: cert, key } = await issueClient(old, new Date());
    await refused({ cert, key }, broken);
    for (const [at, events] of (await Promise.all(readings)).entries()) {
      const last = events.at(-1);
      assert.equal(last?.kind === "finished" && last.outcome.kind, "succeeded", refs[at]);
      const offsets = events.map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        offsets.map((_, index) => index),
      );
      assert.match(outputOf(events), /line-100\n/);
      await remote.acknowledge(refs[at] ?? "");
    }
  });
});
