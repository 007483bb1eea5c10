import assert from "node:assert/strict";
import type { RequestOptions } from "node:https";
import { Credentials, loadKubeConfig, sameTls } from "../../../src/kube/http/credentials.ts";
import { FakeClock } from "../runtime/fake-clock.ts";

/** Answers like KubeConfig, with a token that is another one each time. */
function aSource(more: Partial<RequestOptions> = {}) {
  const source = {
    asked: 0,
    fails: false,
    getCurrentUser: () => null,
    getCurrentCluster: () => ({
      name: "c",
      server: "https://host:6443/prefix",
      skipTLSVerify: false,
    }),
    applyToHTTPSOptions: async (options: RequestOptions): Promise<void> => {
      source.asked += 1;
      if (source.fails) throw new Error("plugin failed");
      Object.assign(options, { headers: { Authorization: `Bearer t-${source.asked}\n` }, ...more });
    },
  };
  return source;
}

describe("Credentials", () => {
  it("asks once for many requests, and again after ten seconds", async () => {
    const [source, clock] = [aSource(), new FakeClock()];
    const credentials = new Credentials(source as never, clock);
    await Promise.all([credentials.current(), credentials.current()]);
    assert.equal(source.asked, 1);
    await clock.advance(10_001);
    const access = await credentials.current();
    assert.equal(access.headers["authorization"], "Bearer t-2", "without the newline of its file");
    assert.equal(access.server.pathname, "/prefix");
  });

  it("asks again when told that they were refused", async () => {
    const source = aSource();
    const credentials = new Credentials(source as never, new FakeClock());
    await credentials.current();
    credentials.renew();
    assert.equal((await credentials.current()).headers["authorization"], "Bearer t-2");
  });

  it("does not remember a failure", async () => {
    const source = aSource();
    const credentials = new Credentials(source as never, new FakeClock());
    source.fails = true;
    await assert.rejects(credentials.current(), /plugin failed/);
    source.fails = false;
    assert.equal((await credentials.current()).headers["authorization"], "Bearer t-2");
  });

  it("turns a user name and password into a header", async () => {
    const source = aSource({ headers: {}, auth: "user:password" });
    const { headers } = await new Credentials(source as never, new FakeClock()).current();
    assert.equal(
      headers["authorization"],
      `Basic ${Buffer.from("user:password").toString("base64")}`,
    );
  });

  it("says what to do without a current cluster", async () => {
    const source = { ...aSource(), getCurrentCluster: () => null };
    const credentials = new Credentials(source as never, new FakeClock());
    await assert.rejects(credentials.current(), /set current-context/);
  });

  it("notices replaced certificates", () => {
    assert.equal(sameTls({ ca: "a" }, { ca: Buffer.from("a") }), true);
    assert.equal(sameTls({ ca: "a" }, { ca: "b" }), false);
    assert.equal(sameTls({ cert: "a" }, { key: "a" }), false);
  });
});

describe("loadKubeConfig", () => {
  it("names the file that is not there", () => {
    assert.throws(() => loadKubeConfig("/nonexistent/kubeconfig"), /nonexistent\/kubeconfig/);
  });
});
