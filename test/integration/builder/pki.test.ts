import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { Identities } from "../../../src/builder/pki/identities.ts";
import { lifetimes } from "../../../src/builder/pki/authority.ts";
import { secrets, type Secret } from "../../../src/kube/types.ts";
import { Kiln, kilnNamespace, soon } from "./kiln.ts";

describe("Kiln's certificates on a real API server", () => {
  let kiln: Kiln;
  before(async () => {
    kiln = await Kiln.start();
    await kiln.halt();
  });
  after(async () => await kiln?.stop());

  /** As a controller that starts at `now`. */
  const identities = (now = new Date()): Identities =>
    new Identities({ client: kiln.client, namespace: kilnNamespace, now: () => now });

  async function stored(namespace: string, name = "kiln-builder-tls"): Promise<Secret> {
    const secret = await kiln.client.get(secrets, { namespace, name }, soon());
    assert.ok(secret !== undefined);
    return secret;
  }

  const pem = (secret: Secret, key: string): string =>
    Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8");
  const later = (ms: number): Date => new Date(Date.now() + ms);

  it("have one authority, though two controllers begin at once", async () => {
    const [one, other] = await Promise.all([
      identities().authority(soon()),
      identities().authority(soon()),
    ]);
    assert.equal(one.certificate, other.certificate);
    assert.equal(pem(await stored(kilnNamespace, "kiln-ca"), "tls.crt"), one.certificate);
  });

  it("are issued once for a namespace, however many Builders ask at the same time", async () => {
    const namespace = await kiln.namespace();
    const all = identities();
    const prints = await Promise.all(
      Array.from({ length: 5 }, () => all.server(namespace, [], soon())),
    );
    assert.equal(new Set(prints).size, 1);
    const ca = new X509Certificate(pem(await stored(kilnNamespace, "kiln-ca"), "tls.crt"));
    const server = new X509Certificate(pem(await stored(namespace), "tls.crt"));
    assert.ok(server.verify(ca.publicKey));
    assert.equal(
      server.checkHost(`builder-main.${namespace}.builders.kiln.build`),
      `*.${namespace}.builders.kiln.build`,
    );
  });

  it("are kept by a controller that starts again, and renewed when two thirds of their life are over", async () => {
    const namespace = await kiln.namespace();
    const first = await identities().server(namespace, [], soon());
    assert.equal(await identities().server(namespace, [], soon()), first);
    assert.equal(
      await identities(later(lifetimes.serverMs * 0.6)).server(namespace, [], soon()),
      first,
    );
    assert.notEqual(
      await identities(later(lifetimes.serverMs * 0.7)).server(namespace, [], soon()),
      first,
    );
  });

  it("are issued anew when somebody damaged or deleted the Secret", async () => {
    const namespace = await kiln.namespace();
    const first = await identities().server(namespace, [], soon());
    await kiln.secret(namespace, "kiln-builder-tls", { "tls.crt": "garbage" });
    const second = await identities().server(namespace, [], soon());
    await kiln.client.delete(secrets, { namespace, name: "kiln-builder-tls" }, soon());
    const third = await identities().server(namespace, [], soon());
    assert.equal(new Set([first, second, third]).size, 3);
  });

  it("get a new authority before the old one ends, which stays trusted", async () => {
    const hourMs = 3_600_000;
    const dueMs = lifetimes.authorityMs * 0.7;
    const before = await identities().authority(soon());
    const announced = await identities(later(dueMs)).authority(soon());
    assert.equal(announced.certificate, before.certificate, "the old one still signs");
    const next = announced.next?.certificate.trim() ?? "nothing";
    for (const one of [before.certificate.trim(), next]) assert.ok(announced.bundle.includes(one));
    const waiting = await identities(later(dueMs + hourMs / 2)).authority(soon());
    assert.deepEqual(waiting, announced, "nobody makes another one meanwhile");
    const after = await identities(later(dueMs + 2 * hourMs)).authority(soon());
    assert.equal(after.certificate.trim(), next);
    assert.equal(after.next, undefined);
    assert.ok(after.bundle.includes(before.certificate.trim()));
  });

  it("of the controller are the same until they are due", async () => {
    let now = new Date();
    const own = new Identities({ client: kiln.client, namespace: kilnNamespace, now: () => now });
    const first = await own.client(soon());
    assert.equal(await own.client(soon()), first);
    now = later(lifetimes.clientMs * 0.7);
    assert.notEqual((await own.client(soon())).certificate, first.certificate);
  });
});
