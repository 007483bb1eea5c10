import assert from "node:assert/strict";
import { ApiError } from "../../../src/kube/errors.ts";
import { kubeClient } from "../../../src/kube/rest.ts";
import type { HttpRequest, HttpResponse } from "../../../src/kube/http/transport.ts";
import { FakeClock } from "../runtime/fake-clock.ts";
import { noCluster } from "./a-cache.ts";
import { things } from "./scripted-server.ts";

type Answer = { status: number; body?: unknown; retryAfter?: string } | Error | "never";

/** A client whose requests get these answers, in order; the last one again and again. */
function aClient(...answers: Answer[]) {
  const clock = new FakeClock();
  const asked: HttpRequest[] = [];
  const send = async (request: HttpRequest): Promise<HttpResponse> => {
    const answer = answers[Math.min(asked.length, answers.length - 1)] as Answer;
    asked.push(request);
    if (answer instanceof Error) throw answer;
    if (answer === "never") {
      return new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason as Error));
      });
    }
    const text = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {});
    return {
      status: answer.status,
      headers: { "retry-after": answer.retryAfter },
      body: (async function* () {
        yield Buffer.from(text);
      })(),
      cancel: () => undefined,
    };
  };
  const transport = { send, close: () => undefined };
  const client = kubeClient(noCluster, { transport, clock, random: () => 0 });
  return { client, clock, asked };
}

const thing = { metadata: { namespace: "ns", name: "a" } };
const { signal } = new AbortController();
const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
const busy = { status: 429, retryAfter: "2" };

/** Lets time pass until the request has ended; how long that took, and how it ended. */
async function outcome(clock: FakeClock, request: Promise<unknown>) {
  const began = clock.now();
  let end: { value?: unknown; error?: unknown } | undefined;
  request.then(
    (value) => (end = { value }),
    (error: unknown) => (end = { error }),
  );
  for (let ms = 0; ms < 60_000 && end === undefined; ms += 50) await clock.advance(50);
  return { ...end, ms: clock.now() - began };
}

describe("a request", () => {
  it("waits as long as a busy server asks, for every verb", async () => {
    for (const verb of ["get", "create", "apply"] as const) {
      const { client, clock, asked } = aClient(busy, { status: 200, body: { ok: true } });
      const requests = {
        get: () => client.get(things, thing.metadata, signal),
        create: () => client.create(things, thing, signal),
        apply: () => client.apply(things, thing, {}, signal),
      };
      const { value, ms } = await outcome(clock, requests[verb]());
      assert.deepEqual(value, { ok: true }, verb);
      assert.ok(ms >= 2000 && ms < 2200, String(ms));
      assert.equal(asked.length, 2);
    }
  });

  it("gives up after five tries", async () => {
    const { client, clock, asked } = aClient(busy);
    const { error } = await outcome(clock, client.get(things, thing.metadata, signal));
    assert.ok(error instanceof ApiError && error.kind === "TooManyRequests");
    assert.equal(asked.length, 5);
  });

  it("hands on the error of a server that asks for a long wait", async () => {
    const { client, clock, asked } = aClient({ status: 503, retryAfter: "60" });
    const { error } = await outcome(clock, client.get(things, thing.metadata, signal));
    assert.ok(error instanceof ApiError && error.retryAfterMs === 60_000);
    assert.equal(asked.length, 1);
  });

  it("is repeated after a lost connection, unless it creates", async () => {
    const again = aClient(reset, { status: 200 });
    await outcome(again.clock, again.client.apply(things, thing, {}, signal));
    assert.equal(again.asked.length, 2);
    const once = aClient(reset, { status: 200 });
    const { error } = await outcome(once.clock, once.client.create(things, thing, signal));
    assert.ok(error instanceof ApiError && error.kind === "Unavailable");
    assert.equal(once.asked.length, 1);
  });

  it("is not repeated when it was refused", async () => {
    const { client, clock, asked } = aClient({ status: 409 });
    await outcome(clock, client.apply(things, thing, {}, signal));
    assert.equal(asked.length, 1);
  });

  it("has a deadline over all its tries", async () => {
    const { client, clock } = aClient("never");
    const { error, ms } = await outcome(clock, client.get(things, thing.metadata, signal));
    assert.match(String(error), /get Thing ns\/a: .*no answer within 30000 ms/);
    assert.ok(ms <= 30_050);
    assert.equal(clock.timers, 0);
  });

  it("ends with the reason of the caller's signal", async () => {
    const { client, clock } = aClient("never");
    const abort = new AbortController();
    const asked = client.get(things, thing.metadata, abort.signal);
    abort.abort(new Error("stopping"));
    const { error } = await outcome(clock, asked);
    assert.match(String(error), /stopping/);
    assert.equal(clock.timers, 0);
  });

  it("says so when something else than an API server answers", async () => {
    const page = aClient({ status: 502, body: "<html>Bad Gateway</html>" });
    const bad = await outcome(page.clock, page.client.get(things, thing.metadata, signal));
    assert.ok(bad.error instanceof ApiError && bad.error.kind === "Unavailable");
    assert.match(bad.error.message, /answered with status 502/);
    const login = aClient({ status: 200, body: "<html>Log in</html>" });
    const html = await outcome(login.clock, login.client.get(things, thing.metadata, signal));
    assert.match(String(html.error), /the answer is not JSON/);
  });

  it("never has what it sent in its error", async () => {
    const { client, clock } = aClient({ status: 500, body: "nonsense" });
    const secret = { ...thing, spec: { value: 42_424_242 } };
    const { error } = await outcome(clock, client.apply(things, secret, {}, signal));
    assert.ok(!String((error as Error).stack).includes("42424242"));
  });
});

describe("the body of an apply", () => {
  it("leaves out what the server sets, and keeps the preconditions", async () => {
    const { client, clock, asked } = aClient({ status: 200 });
    const metadata = {
      ...thing.metadata,
      uid: "u",
      resourceVersion: "7",
      generation: 3,
      creationTimestamp: "2026-01-01T00:00:00Z",
    };
    await outcome(clock, client.apply(things, { metadata, spec: { value: 1 } }, {}, signal));
    assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), {
      apiVersion: "test.kiln.build/v1",
      kind: "Thing",
      metadata: { name: "a", namespace: "ns", uid: "u", resourceVersion: "7" },
      spec: { value: 1 },
    });
    assert.equal(asked[0]?.headers?.["content-type"], "application/apply-patch+yaml");
    const query = new URL(asked[0]?.path ?? "", "http://x");
    assert.equal(query.pathname, "/apis/test.kiln.build/v1/namespaces/ns/things/a");
    assert.deepEqual(Object.fromEntries(query.searchParams), {
      fieldManager: "kiln-controller",
      force: "true",
      fieldValidation: "Strict",
    });
  });

  it("is sent as the service account that was asked for", async () => {
    const { client, clock, asked } = aClient({ status: 200 });
    const account = client.asServiceAccount("shop", "builder");
    await outcome(clock, account.get(things, thing.metadata, signal));
    const headers = asked[0]?.headers;
    assert.equal(headers?.["impersonate-user"], "system:serviceaccount:shop:builder");
  });
});
