// Two hundred steps on Builders in random order: made, edited, damaged, deleted, without waiting in between. Whatever is left
// becomes Ready, and nothing else is left behind.

import assert from "node:assert/strict";
import { cluster, type Manifest } from "./fixture.ts";

const names = ["b0", "b1", "b2", "b3"];
const steps = 200;

/** A seeded source of whole numbers below `n` (mulberry32): a run that fails can be repeated. */
function source(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

describe("Builders in disorder", () => {
  let ns = "";
  const seed = Number(process.env["KILN_E2E_SEED"] ?? Date.now() % 1_000_000);
  const below = source(seed);
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T;

  before(async () => {
    ns = await cluster.namespace("disorder");
  });
  after(async () => await cluster.removeNamespace(ns));

  function spec(): Manifest {
    const count = one([
      { replicas: 1 },
      { replicas: 2 },
      { scaling: { min: 0, max: 2, idleTimeout: "5s" } },
      { scaling: { min: 1, max: 2 } },
    ]);
    const storage = below(3) === 0 ? { storage: { size: "1Gi" } } : {};
    const annotations = { "example.test/edit": String(below(5)) };
    const kubernetes = { security: "Privileged", drainTimeout: "2s", annotations };
    const broken = below(8) === 0 ? { nodeSelector: { "example.test/none": "1" } } : {};
    return {
      kubernetes: { ...kubernetes, ...count, ...storage, ...broken },
      drain: below(10) === 0,
    };
  }

  async function write(name: string, to: Manifest = spec()): Promise<void> {
    await cluster.apply(ns, {
      apiVersion: "kiln.build/v1alpha1",
      kind: "Builder",
      metadata: { name },
      spec: to,
    });
  }

  /** What somebody may do to Kiln's objects. A Builder that is not there has none: nothing happens. */
  async function damage(name: string): Promise<void> {
    const of = ["-n", ns, "-l", `kiln.build/builder=${name}`];
    const workloads = "replicasets,statefulsets";
    const ways = [
      ["delete", "pods", ...of, "--wait=false"],
      ["delete", "pods", ...of, "--grace-period=0", "--force", "--wait=false"],
      ["delete", workloads, ...of, "--wait=false"],
      ["delete", workloads, ...of, "--wait=false", "--cascade=orphan"],
      ["delete", "services,networkpolicies", ...of, "--wait=false"],
      ["scale", workloads, ...of, `--replicas=${below(4)}`],
      ["annotate", workloads, ...of, "kiln.build/template-hash=none", "--overwrite"],
      ["annotate", "pods", ...of, "kiln.build/draining-", "--overwrite"],
      ["annotate", "pods", ...of, "kiln.build/draining=nonsense", "--overwrite"],
    ];
    await cluster.kubectl(one(ways)).catch(() => undefined);
  }

  async function left(kinds: string): Promise<string[]> {
    const text = await cluster.kubectl(["get", kinds, "-n", ns, "-o", "name"]);
    return text.split("\n").filter((line) => line !== "");
  }

  it(`come to rest: all that are left Ready, nothing of those that went (seed ${seed})`, async () => {
    const moves = ["write", "write", "write", "damage", "damage", "damage", "delete"] as const;
    for (let step = 0; step < steps; step++) {
      const name = one(names);
      const move = one(moves);
      if (move === "write") await write(name);
      else if (move === "damage") await damage(name);
      else {
        const which = ["builder", name, "-n", ns, "--wait=false", "--ignore-not-found"];
        await cluster.kubectl(["delete", ...which]);
      }
    }
    const [gone = "", ...kept] = names;
    await cluster.kubectl(["delete", "builder", gone, "-n", ns, "--ignore-not-found"]);
    for (const name of kept)
      await write(name, {
        kubernetes: { security: "Privileged", replicas: 1, drainTimeout: "2s" },
      });
    await cluster.until(
      "every Builder to be Ready and at rest",
      async () => {
        const text = await cluster.kubectl(["get", "builders", "-n", ns, "-o", "json"]);
        const { items } = JSON.parse(text) as {
          items: {
            metadata: { name: string };
            status?: { conditions?: { type: string; status: string }[]; readyInstances?: number };
          }[];
        };
        const bad = items.filter(({ status }) => {
          const { conditions = [], readyInstances } = status ?? {};
          return readyInstances !== 1 || conditions.map(({ type }) => type).join() !== "Ready";
        });
        if (items.length === kept.length && bad.length === 0) return true;
        throw new Error(JSON.stringify(bad.map(({ metadata, status }) => [metadata.name, status])));
      },
      240_000,
    );
    await cluster.until("one pod each, and nothing of others", async () => {
      const pods = await left("pods");
      const objects = await left("replicasets,statefulsets,services,networkpolicies,pdb");
      const mine = objects.filter((name) => !name.includes("/kubernetes"));
      if (pods.length === kept.length && mine.length === 3 * kept.length) return true;
      throw new Error([...pods, ...mine].join(" "));
    });
    await cluster.kubectl(["delete", "builder", "--all", "-n", ns]);
    await cluster.until("nothing at all", async () => {
      const rest = await left("pods,replicasets,statefulsets,services,networkpolicies,pdb,pvc");
      const secrets = (await left("secrets")).filter((name) => name.includes("kiln"));
      if (rest.length + secrets.length === 0) return true;
      throw new Error([...rest, ...secrets].join(" "));
    });
    assert.ok(true);
  });
});
