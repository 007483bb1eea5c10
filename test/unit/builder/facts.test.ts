import assert from "node:assert/strict";
import { podInstance, runningPod } from "../../../src/builder/health/facts.ts";
import type { ProbeResult } from "../../../src/builder/health/probe.ts";
import { aContainer, anAnswer, aPod } from "./samples.ts";

const refused: ProbeResult = {
  kind: "failed",
  problem: { reason: "ConnectionRefused", message: "refused" },
};
const running = { running: { startedAt: "2026-01-01T00:00:00Z" } };
const starting = aPod({
  containerStatuses: [aContainer({ name: "agent", state: running, started: false })],
});

describe("an instance in a pod", () => {
  it("is ready as soon as BuildKit answers, before the kubelet's next probe says so", () => {
    assert.equal(podInstance(starting, anAnswer).ready, true);
  });

  it("is starting while its daemon does not listen yet", () => {
    assert.equal(podInstance(starting, refused).problem?.reason, "Starting");
  });

  it("that has started and then refuses is in trouble", () => {
    assert.equal(podInstance(aPod(), refused).problem?.reason, "ConnectionRefused");
  });

  it("with a certificate that is not trusted is in trouble even while it starts", () => {
    const tls: ProbeResult = { kind: "failed", problem: { reason: "TLSFailed", message: "x" } };
    assert.equal(podInstance(starting, tls).problem?.reason, "TLSFailed");
  });

  it("is not ready when its BuildKit is too old, whatever it answers", () => {
    assert.ok(anAnswer.kind === "answered");
    const old: ProbeResult = { ...anAnswer, problem: { reason: "BuilderTooOld", message: "old" } };
    const facts = podInstance(aPod(), old);
    assert.deepEqual(
      [facts.ready, facts.problem?.reason, facts.daemon?.version],
      [false, "BuilderTooOld", "v0.34.2"],
    );
  });

  it("that is being deleted takes nothing, and its last answer counts for nothing", () => {
    const facts = podInstance(aPod({}, { deletionTimestamp: "2026-01-01T00:00:00Z" }), anAnswer);
    assert.deepEqual([facts.ready, facts.terminating], [false, true]);
  });

  it("whose container crashed is not ready, though it answered a second ago", () => {
    const crashed = aPod({
      initContainerStatuses: [aContainer({ state: { terminated: { exitCode: 1 } } })],
    });
    const facts = podInstance(crashed, anAnswer);
    assert.deepEqual(
      [facts.ready, facts.problem?.reason, facts.daemon],
      [false, "CrashLooping", undefined],
    );
  });

  it("is another daemon after a restart of either container", () => {
    for (const restarted of [
      aPod({
        initContainerStatuses: [aContainer({ state: running, containerID: "containerd://9" })],
      }),
      aPod({
        containerStatuses: [
          aContainer({ name: "agent", state: running, containerID: "containerd://9" }),
        ],
      }),
    ])
      assert.notEqual(runningPod(aPod())?.identity, runningPod(restarted)?.identity);
  });

  it("can be dialled while its daemon is down: the agent still has outcomes", () => {
    const crashed = aPod({
      initContainerStatuses: [aContainer({ state: { terminated: { exitCode: 1 } } })],
    });
    assert.equal(runningPod(crashed)?.address, "tcp://10.1.2.3:1235");
    assert.equal(runningPod(aPod({ containerStatuses: [] })), undefined);
  });
});
