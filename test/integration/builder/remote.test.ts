import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import {
  authority,
  buildkitd,
  freePort,
  leaf,
  scratch,
  type Buildkitd,
} from "../../cluster/index.ts";
import { binary } from "../../cluster/base/binaries.ts";
import { Kiln, soon, until } from "./kiln.ts";

describe("a remote Builder on a real API server and a real buildkitd", () => {
  let kiln: Kiln;
  let tcp: Buildkitd;
  let unix: Buildkitd;
  const place = scratch("remote-builder");
  before(async () => {
    const config =
      "[worker.oci]\n  [[worker.oci.gcpolicy]]\n    all = true\n    keepDuration = 3600\n    maxUsedSpace = 1000000\n";
    kiln = await Kiln.start({ namespacedSockets: true });
    tcp = await buildkitd({
      tls: true,
      mirror: false,
      platforms: ["linux/amd64", "linux/arm64"],
      config,
    });
    unix = await buildkitd({ mirror: false });
  });
  after(async () => {
    await kiln?.stop();
    await tcp?.stop();
    await unix?.stop();
    place.remove();
  });

  const text = (file: string | undefined): string => readFileSync(file ?? "", "utf8");
  const trusted = (): Record<string, string> => ({
    "ca.crt": text(tcp.tls?.ca),
    "tls.crt": text(tcp.tls?.cert),
    "tls.key": text(tcp.tls?.key),
  });

  /** A namespace with a Secret that its default service account may read, and a Builder that names it. */
  async function withSecret(
    data: Record<string, string>,
    serverName?: string,
    endpoint = tcp.address,
  ): Promise<string> {
    const namespace = await kiln.namespace();
    await kiln.secret(namespace, "tls", data);
    await kiln.allow(namespace, "default", "tls");
    const tls = { secretRef: { name: "tls" }, ...(serverName === undefined ? {} : { serverName }) };
    await kiln.builder(namespace, { remote: { endpoint, tls } });
    return namespace;
  }

  it("over mutual TLS shows version, platforms, labels and GC policy, and can be dialled by runs", async () => {
    const namespace = await withSecret(trusted());
    const status = await kiln.becomes(namespace, "True InstancesReady");
    assert.equal(status.driver, "Remote");
    assert.equal(status.version, "v0.34.2");
    assert.deepEqual([status.readyInstances, status.totalInstances], [1, 1]);
    assert.ok(status.platforms?.includes("linux/arm64"));
    const [instance] = status.instances ?? [];
    assert.equal(instance?.name, "remote-0");
    assert.ok(instance?.labels?.["org.mobyproject.buildkit.worker.snapshotter"]);
    assert.deepEqual(instance?.gcPolicy, [
      { all: true, keepDuration: "1h", maxUsedSpace: 1_000_000 },
    ]);
    assert.deepEqual(
      status.conditions?.map(({ type }) => type),
      ["Ready"],
    );
    const ref = kiln.fleet.find({ name: "main" }, namespace);
    assert.ok(ref !== undefined);
    assert.equal(kiln.fleet.instances(ref)[0]?.ready, true);
    const place = await kiln.fleet.place(ref, "remote-0", soon());
    assert.deepEqual([place.kind, place.endpoint.kind], ["daemon", "tcp"]);
  });

  it("understands a Secret with buildkit's own key names", async () => {
    const { "ca.crt": ca = "", "tls.crt": cert = "", "tls.key": key = "" } = trusted();
    const namespace = await withSecret(
      { "ca.pem": ca, "cert.pem": cert, "key.pem": key },
      "localhost",
    );
    await kiln.becomes(namespace, "True InstancesReady");
  });

  it("on a unix socket", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { remote: { endpoint: unix.address } });
    const status = await kiln.becomes(namespace, "True InstancesReady");
    assert.equal(status.instances?.[0]?.address, unix.address);
  });

  it("that refuses the connection says so, and works once the endpoint is corrected", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { remote: { endpoint: `tcp://127.0.0.1:${await freePort()}` } });
    const status = await kiln.becomes(namespace, "False ConnectionRefused");
    assert.match(status.conditions?.[0]?.message ?? "", /Nothing listens there/);
    assert.equal(status.conditions?.find(({ type }) => type === "Reconciling")?.status, "True");
    await kiln.builder(namespace, { remote: { endpoint: unix.address } });
    await kiln.becomes(namespace, "True InstancesReady");
  });

  it("whose BuildKit is older than the floor is not used, and says which version it takes", async () => {
    // The real daemon, but for the version that was stamped into it.
    const program = path.join(place.folder, "buildkitd-old");
    const bytes = readFileSync(await binary("buildkitd")).toString("latin1");
    writeFileSync(program, bytes.replaceAll("v0.34.2", "v0.31.2"), "latin1");
    chmodSync(program, 0o755);
    const old = await buildkitd({ mirror: false, program });
    try {
      const namespace = await kiln.namespace();
      await kiln.builder(namespace, { remote: { endpoint: old.address } });
      const status = await kiln.becomes(namespace, "False BuilderTooOld");
      const ready = status.conditions?.find(({ type }) => type === "Ready");
      assert.match(ready?.message ?? "", /is v0\.31\.2, .*upgrade it to v0\.32\.2 or later/);
      assert.ok(status.conditions?.some(({ type }) => type === "Stalled"));
    } finally {
      await old.stop();
    }
  });

  it("with a name that does not resolve says so", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { remote: { endpoint: "tcp://builder.invalid:1234" } });
    await kiln.becomes(namespace, "False NameNotResolved");
  });

  it("is not trusted with a server certificate of another authority", async () => {
    const other = await authority(place.folder, "other");
    const namespace = await withSecret({ ...trusted(), "ca.crt": text(other.cert) });
    const status = await kiln.becomes(namespace, "False TLSFailed");
    assert.equal(status.conditions?.find(({ type }) => type === "Stalled")?.reason, "TLSFailed");
    await kiln.secret(namespace, "tls", trusted());
    await kiln.becomes(namespace, "True InstancesReady");
  });

  it("is not trusted with a server certificate that has expired", async () => {
    const ca = await authority(place.folder, "expiring");
    const names = { commonName: "buildkitd", ipAddresses: ["127.0.0.1"] };
    const old = await leaf(ca, { name: "old", ...names, expired: true });
    const client = await leaf(ca, { name: "fresh-client", commonName: "client" });
    const address = `tcp://127.0.0.1:${await freePort()}`;
    const tls = ["--tlscacert", ca.cert, "--tlscert", old.cert, "--tlskey", old.key];
    const daemon = await buildkitd({ mirror: false, args: ["--addr", address, ...tls] });
    try {
      const secret = {
        "ca.crt": text(ca.cert),
        "tls.crt": text(client.cert),
        "tls.key": text(client.key),
      };
      const namespace = await withSecret(secret, undefined, address);
      const status = await kiln.becomes(namespace, "False TLSFailed");
      assert.match(status.conditions?.[0]?.message ?? "", /expired/);
    } finally {
      await daemon.stop();
    }
  });

  it("is not trusted under another server name", async () => {
    const namespace = await withSecret(trusted(), "somebody.example");
    const status = await kiln.becomes(namespace, "False TLSFailed");
    assert.match(status.conditions?.[0]?.message ?? "", /server name/);
  });

  it("that wants a client certificate and gets none, or one of another authority, says so", async () => {
    const { "ca.crt": ca = "" } = trusted();
    const without = await withSecret({ "ca.crt": ca });
    const status = await kiln.becomes(without, "False TLSFailed");
    assert.match(status.conditions?.[0]?.message ?? "", /client certificate/);
    const other = await authority(place.folder, "stranger");
    const client = await leaf(other, { name: "client", commonName: "client" });
    const stranger = await withSecret({
      "ca.crt": ca,
      "tls.crt": text(client.cert),
      "tls.key": text(client.key),
    });
    await kiln.becomes(stranger, "False TLSFailed");
  });

  it("that talks TLS to a Builder without tls says so", async () => {
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { remote: { endpoint: tcp.address } });
    const status = await kiln.becomes(namespace, "False ConnectionLost");
    assert.match(status.conditions?.[0]?.message ?? "", /may want TLS/);
  });

  it("needs its Secret: missing, forbidden, without a key, then good", async () => {
    const namespace = await kiln.namespace();
    const tls = { secretRef: { name: "tls" } };
    await kiln.builder(namespace, { remote: { endpoint: tcp.address, tls } });
    const forbidden = await kiln.becomes(namespace, "False SecretForbidden");
    assert.match(
      forbidden.conditions?.[0]?.message ?? "",
      /Service account .*\/default may not read Secret tls/,
    );
    await kiln.allow(namespace, "default", "tls");
    await kiln.becomes(namespace, "False SecretNotFound");
    await kiln.secret(namespace, "tls", { "tls.crt": "x" });
    const invalid = await kiln.becomes(namespace, "False SecretInvalid");
    assert.match(invalid.conditions?.[0]?.message ?? "", /has no key ca\.crt/);
    await kiln.secret(namespace, "tls", { "ca.crt": "no PEM" });
    await kiln.becomes(namespace, "False TLSFailed");
    await kiln.secret(namespace, "tls", trusted());
    await kiln.becomes(namespace, "True InstancesReady");
  });

  it("that dies is not ready within seconds, and ready again when it is back", async () => {
    const own = await buildkitd({ mirror: false });
    const namespace = await kiln.namespace();
    await kiln.builder(namespace, { remote: { endpoint: own.address } });
    await kiln.becomes(namespace, "True InstancesReady");
    await own.stop();
    const status = await kiln.becomes(namespace, "False ConnectionRefused");
    assert.equal(status.instances?.[0]?.version, "v0.34.2", "what was known last");
    const events = await until("an Event", async () => {
      const list = await kiln.events(namespace);
      return list.some(({ reason }) => reason === "ConnectionRefused") ? list : undefined;
    });
    assert.ok(events.some(({ type, reason }) => type === "Normal" && reason === "Ready"));
  });
});
