import assert from "node:assert/strict";
import { Counter, Registry } from "prom-client";
import { eventLoopDelay, startProbes } from "../../../src/runtime/probes.ts";
import type { Check, Probes } from "../../../src/runtime/probes.ts";

describe("startProbes", () => {
  let ready: true | string = true;
  let probes: Probes;
  const registry = new Registry();
  const checks: Record<string, Check> = { caches: () => ready, lease: () => true };

  before(async () => {
    new Counter({ name: "kiln_test_total", help: "x", registers: [registry] }).inc();
    probes = await startProbes({ address: "127.0.0.1:0", registry, ready: checks });
  });
  after(() => probes.stop());

  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${probes.port}${path}`);
    return [response.status, await response.text()];
  };

  it("is healthy without checks", async () => {
    assert.deepEqual(await get("/healthz"), [200, "ok\n"]);
  });

  it("is ready when every check is, and says which one is not", async () => {
    assert.deepEqual(await get("/readyz"), [200, "+ caches: ok\n+ lease: ok\n"]);
    ready = "BuildRun is not listed yet";
    assert.deepEqual(await get("/readyz"), [
      503,
      "- caches: BuildRun is not listed yet\n+ lease: ok\n",
    ]);
  });

  it("serves the metrics of its registry, the event loop's delay among them", async () => {
    const delay = eventLoopDelay(registry);
    const [status, text] = await get("/metrics");
    delay.stop();
    assert.equal(status, 200);
    assert.match(text, /^kiln_test_total 1$/m);
    assert.match(text, /^kiln_event_loop_delay_seconds\{quantile="0.99"\} /m);
  });

  it("knows no other path", async () => {
    assert.equal((await get("/debug"))[0], 404);
  });

  it("rejects when the address is taken", async () => {
    const address = `127.0.0.1:${probes.port}`;
    await assert.rejects(startProbes({ address, registry }), /EADDRINUSE/);
  });
});
