// What has to be done about a container on an engine, and what is written down of it?

import assert from "node:assert/strict";
import {
  containerName,
  containerStep,
  type ContainerStep,
  engineLabels,
  wantedContainer,
} from "../../../src/builder/docker/container.ts";
import { nextRecords, type ContainerRecord } from "../../../src/builder/docker/records.ts";
import { aSpec } from "./samples.ts";

const ref = { kind: "Builder", namespace: "shop", name: "main" } as const;
const owner = { ref, uid: "u1" };

function wanted(over: object = {}) {
  const { dockerContainer: driver } = aSpec({ dockerContainer: over });
  assert.ok(driver !== undefined);
  return wantedContainer({ driver, name: "c", owner, defaultImage: "moby/buildkit:v1", files: [] });
}

const { hash } = wanted();
const ours = { [engineLabels.uid]: "u1", [engineLabels.hash]: hash };

const table: readonly (readonly [
  what: string,
  status: string | undefined,
  labels: Record<string, string>,
  busy: boolean,
  adopt: boolean,
  step: ContainerStep,
])[] = [
  ["is not there", undefined, {}, false, false, "create"],
  ["runs as wanted", "running", ours, true, false, "keep"],
  ["was stopped", "exited", ours, false, false, "start"],
  ["was made and not started", "created", ours, false, false, "start"],
  ["is being started again", "restarting", ours, false, false, "wait"],
  ["is being removed", "removing", ours, false, false, "wait"],
  ["was paused", "paused", ours, false, false, "recreate"],
  [
    "is of an older template",
    "running",
    { ...ours, [engineLabels.hash]: "x" },
    false,
    false,
    "recreate",
  ],
  ["is older and builds", "running", { ...ours, [engineLabels.hash]: "x" }, true, false, "drain"],
  ["is somebody's", "running", {}, false, false, "taken"],
  ["is another Builder's", "running", { ...ours, [engineLabels.uid]: "u2" }, false, false, "taken"],
  ["is somebody's and wanted", "running", {}, false, true, "recreate"],
];

describe("a container on an engine", () => {
  for (const [what, status, labels, busy, adopt, step] of table) {
    it(`that ${what}: ${step}`, () => {
      const actual =
        status === undefined
          ? undefined
          : { Id: "1", Config: { Labels: labels }, State: { Status: status } };
      assert.equal(containerStep(actual, { hash, owner, adopt }, busy), step);
    });
  }

  it("is another one when its options change, and the same one elsewhere", () => {
    assert.notEqual(wanted({ cpuShares: 5 }).hash, hash);
    assert.equal(wanted({ endpoint: "tcp://there:2376", whenDeleted: "Retain" }).hash, hash);
  });

  it("gets the group of buildx where the engine makes groups itself, and what userns needs", () => {
    const bodyOn = (info: object) =>
      (wanted().bodyOn(info) as { HostConfig: Record<string, unknown> }).HostConfig;
    assert.equal(bodyOn({ CgroupDriver: "cgroupfs" })["CgroupParent"], "/docker/buildx");
    assert.equal(bodyOn({ CgroupDriver: "systemd" })["CgroupParent"], undefined);
    assert.equal(bodyOn({ SecurityOptions: ["name=userns"] })["UsernsMode"], "host");
    assert.equal(bodyOn({})["UsernsMode"], undefined);
  });

  it("may swap without a limit", () => {
    const body = wanted({ memory: "1Gi", unlimitedSwap: true }).bodyOn({}) as {
      HostConfig: Record<string, unknown>;
    };
    assert.equal(body.HostConfig["MemorySwap"], -1);
  });

  it("has a name that no other Builder's has", () => {
    const names = [
      containerName(ref, undefined),
      containerName(ref, "a"),
      containerName({ kind: "ClusterBuilder", name: "main" }, undefined),
      containerName({ kind: "Builder", namespace: "main", name: "a" }, undefined),
    ];
    assert.deepEqual(names, ["kiln_shop_main", "kiln_shop_main_a", "kiln__main", "kiln_main_a"]);
  });
});

describe("the containers written down on a Builder", () => {
  const record = (name: string, endpoint: string): ContainerRecord => ({
    name,
    connection: { endpoint },
    keepVolume: false,
  });

  it("are those wanted, and those of before until they are removed", () => {
    const [a, b, moved] = [record("a", "x"), record("b", "x"), record("a", "y")];
    assert.deepEqual(nextRecords([], [a]), { records: [a], surplus: [] });
    assert.deepEqual(nextRecords([a, b], [a]), { records: [a, b], surplus: [b] });
    assert.deepEqual(nextRecords([a], [moved]), { records: [moved, a], surplus: [a] });
    const kept = { ...a, keepVolume: true };
    assert.deepEqual(nextRecords([a], [kept]), { records: [kept], surplus: [] });
  });
});
