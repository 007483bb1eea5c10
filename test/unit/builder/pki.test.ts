import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { AddressInfo } from "node:net";
import {
  fingerprint,
  isDue,
  isGoodServer,
  issueClient,
  issueServer,
  lifetimes,
  newAuthority,
  renewed,
} from "../../../src/builder/pki/authority.ts";

const now = new Date("2026-01-01T00:00:00Z");
const later = (ms: number): Date => new Date(now.getTime() + ms);
const name = "*.shop.builders.kiln.build";

describe("Kiln's certificates", () => {
  it("are what OpenSSL takes for an authority, a server and a client of it", async () => {
    const authority = await newAuthority(now);
    const ca = new X509Certificate(authority.certificate);
    const server = new X509Certificate((await issueServer(authority, name, now)).certificate);
    const client = new X509Certificate((await issueClient(authority, now)).certificate);
    assert.equal(ca.ca, true);
    assert.ok(server.checkIssued(ca) && server.verify(ca.publicKey));
    assert.ok(client.checkIssued(ca) && client.verify(ca.publicKey));
    assert.equal(server.checkHost("builder-main.shop.builders.kiln.build"), name);
    assert.equal(server.checkHost("builder-main.other.builders.kiln.build"), undefined);
    assert.deepEqual(
      [server.keyUsage, client.keyUsage],
      [["1.3.6.1.5.5.7.3.1"], ["1.3.6.1.5.5.7.3.2"]],
    );
  });

  it("are due after two thirds of their life, and when they are no certificates", async () => {
    const { certificate } = await issueServer(await newAuthority(now), name, now);
    assert.equal(isDue(certificate, later(lifetimes.serverMs * 0.6)), false);
    assert.equal(isDue(certificate, later(lifetimes.serverMs * 0.7)), true);
    assert.equal(isDue("garbage", now), true);
  });

  it("never outlive their authority", async () => {
    const authority = await newAuthority(now);
    const late = later(lifetimes.authorityMs - lifetimes.serverMs / 2);
    const { certificate } = await issueServer(authority, name, late);
    assert.equal(
      new X509Certificate(certificate).validTo,
      new X509Certificate(authority.certificate).validTo,
    );
  });

  it("are replaced when name, authority or trust is another, and only then", async () => {
    const authority = await newAuthority(now);
    const tls = await issueServer(authority, name, now);
    const renewed = await newAuthority(now, authority);
    assert.equal(await isGoodServer(tls, authority, name, now), true);
    assert.equal(await isGoodServer(tls, authority, "*.other.builders.kiln.build", now), false);
    assert.equal(await isGoodServer(tls, renewed, name, now), false);
    assert.equal(await isGoodServer({ ...tls, ca: "" }, authority, name, now), false);
    assert.equal(await isGoodServer({ ...tls, ca: renewed.bundle }, renewed, name, now), false);
    assert.equal(await isGoodServer(tls, authority, name, later(lifetimes.serverMs)), false);
    assert.notEqual(fingerprint(tls), fingerprint(await issueServer(authority, name, now)));
  });

  it("of a new authority: its bundle trusts the old one until that expires", async () => {
    const old = await newAuthority(now);
    assert.equal((await newAuthority(now, old)).bundle.match(/BEGIN CERTIFICATE/g)?.length, 2);
    const afterwards = later(lifetimes.authorityMs + 1);
    assert.equal(
      (await newAuthority(afterwards, old)).bundle.match(/BEGIN CERTIFICATE/g)?.length,
      1,
    );
  });
});

/** One handshake of mutual TLS; resolves when both sides are content. */
async function handshake(
  server: TlsOptions,
  client: { ca: string; cert: string; key: string; servername: string },
): Promise<void> {
  const listener = createServer({ ...server, requestCert: true, rejectUnauthorized: true });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  let socket: TLSSocket | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      listener.on("secureConnection", (accepted) => accepted.end("hello"));
      listener.on("tlsClientError", reject);
      socket = connect({ port, host: "127.0.0.1", ...client });
      socket.on("error", reject);
      socket.on("data", () => resolve());
    });
  } finally {
    socket?.destroy();
    await new Promise((resolve) => listener.close(resolve));
  }
}

describe("the change of the authority", () => {
  it("lets in and is let in at every moment, by whoever has heard of it or not yet", async () => {
    const today = new Date();
    const dueMs = lifetimes.authorityMs * 0.7;
    // Handshakes look at the clock: the old authority began long ago instead of this one being renewed in years.
    const old = await newAuthority(new Date(today.getTime() - dueMs));
    const announced = await renewed(old, new Date(today.getTime() - 7_200_000));
    const changed = await renewed(announced, today);
    assert.notEqual(announced.next, undefined);
    assert.equal(changed.certificate, announced.next?.certificate);
    const steps = [old, announced, changed];
    for (const [at, server] of steps.entries())
      for (const client of steps.slice(Math.max(0, at - 1), at + 2)) {
        const { ca, certificate, key } = await issueServer(server, name, today);
        const own = await issueClient(client, today);
        await handshake(
          { ca, cert: certificate, key },
          {
            ca: own.ca,
            cert: own.certificate,
            key: own.key,
            servername: "builder-main.shop.builders.kiln.build",
          },
        );
      }
  });
});

describe("mutual TLS with Kiln's certificates", () => {
  const servername = "builder-main.shop.builders.kiln.build";
  const today = new Date();

  it("works with what Kiln issues", async () => {
    const authority = await newAuthority(today);
    const { ca, certificate, key } = await issueServer(authority, name, today);
    const client = await issueClient(authority, today);
    await handshake(
      { ca, cert: certificate, key },
      { ca: client.ca, cert: client.certificate, key: client.key, servername },
    );
  });

  it("works between an old server and a renewed controller, both ways of trust", async () => {
    const old = await newAuthority(today);
    const renewed = await newAuthority(today, old);
    const server = await issueServer(old, name, today);
    const client = await issueClient(renewed, today);
    await assert.rejects(
      handshake(
        { ca: server.ca, cert: server.certificate, key: server.key },
        { ca: client.ca, cert: client.certificate, key: client.key, servername },
      ),
    );
    const rolled = await issueServer(renewed, name, today);
    const before = await issueClient(old, today);
    await handshake(
      { ca: rolled.ca, cert: rolled.certificate, key: rolled.key },
      { ca: renewed.bundle, cert: before.certificate, key: before.key, servername },
    );
  });

  it("refuses a builder's own certificate as a client's: one builder cannot dial another", async () => {
    const authority = await newAuthority(today);
    const server = await issueServer(authority, name, today);
    const tls = { ca: server.ca, cert: server.certificate, key: server.key };
    await assert.rejects(handshake(tls, { ...tls, servername }));
  });
});
