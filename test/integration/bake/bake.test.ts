// Bakes on a real API server and a real buildkitd: targets that build from one another, one that fails, cancelling,
// deleting, expiring, and every way in which a Bake can be wrong.

import assert from "node:assert/strict";
import type { Bake, BuildRun } from "../../../src/api/v1alpha1/index.ts";
import { events } from "../../../src/kube/types.ts";
import { aDaemon, configMap, controllerComes, pushed, secret } from "../buildrun/daemon.ts";
import { bakeType, buildRunType, never, until } from "../buildrun/kiln.ts";

const busybox = "FROM busybox\n";

describe("a Bake", () => {
  const daemon = aDaemon();

  async function bake(name: string, spec: Record<string, unknown>): Promise<Bake> {
    const metadata = { namespace: daemon.namespace, name };
    const full = { serviceAccountName: "reader", ...spec };
    return await daemon.server.client.create(bakeType, { metadata, spec: full } as never, never);
  }

  async function reaches(of: Bake, what: string, holds: (bake: Bake) => boolean): Promise<Bake> {
    let seen: Bake | undefined;
    return await until(`bake ${of.metadata.name} to be ${what}`, async () => {
      seen = await daemon.server.client.get(bakeType, of.metadata, never);
      return seen !== undefined && holds(seen) ? seen : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; its status: ${JSON.stringify(seen?.status)}`);
    });
  }

  async function ends(of: Bake) {
    const ended = await reaches(of, "over", ({ status }) => status?.completionTime !== undefined);
    assert.ok(ended.status !== undefined);
    return ended.status;
  }

  async function runsOf({ metadata }: Bake): Promise<readonly BuildRun[]> {
    const items = await daemon.server.client.list(
      buildRunType,
      { namespace: daemon.namespace },
      never,
    );
    return items.filter((run) =>
      run.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid),
    );
  }

  function told({ targets = [] }: NonNullable<Bake["status"]>) {
    return targets.map(({ name, phase, reason }) => [name, phase, reason]);
  }

  async function deleted({ metadata: { namespace, name } }: BuildRun): Promise<void> {
    await daemon.server.client.delete(buildRunType, { namespace, name }, never);
  }

  const image = (name: string): string => `${daemon.registry.host}/${name}`;

  it("builds three targets, one of them from another's image, and says what each made", async () => {
    const file = {
      group: { default: { targets: ["web", "tool"] } },
      target: {
        base: { "dockerfile-inline": `${busybox}RUN echo of-base > /made\n` },
        web: {
          "dockerfile-inline": "FROM base\nARG V\nRUN grep of-base /made && echo $V > /version\n",
          contexts: { base: "target:base" },
          args: { V: "1" },
          tags: [image("bake/web:1")],
        },
        tool: {
          "dockerfile-inline": `${busybox}COPY --from=base /made /copied\n`,
          contexts: { base: "target:base" },
          tags: [image("bake/tool:1")],
        },
      },
    };
    const made = await bake("shop", {
      file: { inline: file },
      push: true,
      intermediates: { repository: image("bake/intermediates") },
    });
    const status = await ends(made);
    assert.equal(status.phase, "Succeeded", JSON.stringify(status.failure));
    assert.deepEqual(told(status), [
      ["base", "Succeeded", undefined],
      ["tool", "Succeeded", undefined],
      ["web", "Succeeded", undefined],
    ]);
    assert.deepEqual(status.progress, { total: 3, completed: 3, failed: 0 });
    const [base, tool, web] = status.targets ?? [];
    assert.deepEqual(web?.needs, ["base"]);
    assert.equal(web.image, image("bake/web:1"));
    assert.equal((await pushed(daemon, "bake/web", "1")).digest, web.digest);
    assert.equal((await pushed(daemon, "bake/tool", "1")).digest, tool?.digest);
    const untagged = await pushed(daemon, "bake/intermediates", base?.digest ?? "");
    assert.equal(untagged.digest, base?.digest);
    const runs = await runsOf(made);
    assert.deepEqual(
      new Set(runs.map(({ metadata }) => metadata.labels?.["kiln.build/bake-target"])),
      new Set(["base", "tool", "web"]),
    );
    const seen = await until("events of the Bake", async () => {
      const items = await daemon.server.client.list(events, { namespace: daemon.namespace }, never);
      const reasons = items
        .filter(({ regarding }) => regarding?.kind === "Bake")
        .map(({ reason }) => reason);
      return reasons.length >= 2 && reasons;
    });
    assert.deepEqual(new Set(seen), new Set(["Started", "Succeeded"]));
    assert.match(await daemon.kiln.metrics(), /controller="bake"/);
  });

  it("takes the file from a ConfigMap, targets by pattern, overrides, and Secrets by id", async () => {
    await secret(daemon, "keys", { token: "s3cret" });
    const file = {
      target: {
        "api-a": {
          "dockerfile-inline": `${busybox}ARG V\nRUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = s3cret && test "$V" = 2\n`,
          secret: [{ id: "token", src: "./token.txt" }],
          args: { V: "1" },
        },
        other: { "dockerfile-inline": `${busybox}RUN false\n` },
      },
    };
    await configMap(daemon, "file", { "bake.json": JSON.stringify(file) });
    const made = await bake("mapped", {
      file: { configMap: { name: "file", key: "bake.json" } },
      targets: ["api-*"],
      set: ["api-a.args.V=2"],
      secrets: [{ id: "token", secretKeyRef: { name: "keys", key: "token" } }],
    });
    const status = await ends(made);
    assert.deepEqual(told(status), [["api-a", "Succeeded", undefined]]);
  });

  const failing = {
    group: { default: { targets: ["bad", "on-bad", "slow"] } },
    target: {
      bad: { "dockerfile-inline": `${busybox}RUN exit 9\n` },
      "on-bad": { "dockerfile-inline": "FROM bad\n", contexts: { bad: "target:bad" } },
      slow: { "dockerfile-inline": `${busybox}RUN sleep 600\n` },
    },
  };

  it("fails with the target that failed, cancels the others, and tells both", async () => {
    const intermediates = { repository: image("bake/failing") };
    const status = await ends(await bake("failing", { file: { inline: failing }, intermediates }));
    assert.equal(status.phase, "Failed");
    assert.deepEqual(
      [status.failure?.class, status.failure?.reason, status.failure?.target],
      ["User", "StepFailed", "bad"],
    );
    assert.match(status.failure?.message ?? "", /^target "bad": /);
    const byName = new Map(status.targets?.map((target) => [target.name, target]));
    assert.equal(byName.get("bad")?.phase, "Failed");
    assert.equal(byName.get("slow")?.phase, "Cancelled");
    assert.notEqual(byName.get("on-bad")?.phase, "Succeeded");
    assert.deepEqual(status.progress?.completed, 3);
  });

  it("lets the others go on without failFast", async () => {
    const file = {
      target: {
        bad: { "dockerfile-inline": `${busybox}RUN exit 9\n` },
        good: { "dockerfile-inline": `${busybox}RUN sleep 2\n` },
      },
    };
    const spec = { file: { inline: file }, targets: ["bad", "good"], failFast: false };
    const status = await ends(await bake("going-on", spec));
    assert.equal(status.phase, "Failed");
    assert.deepEqual(told(status), [
      ["bad", "Failed", "StepFailed"],
      ["good", "Succeeded", undefined],
    ]);
  });

  const endless = {
    target: {
      a: { "dockerfile-inline": `${busybox}RUN sleep 601\n` },
      b: { "dockerfile-inline": `${busybox}RUN sleep 602\n` },
    },
  };

  async function building(name: string): Promise<Bake> {
    const made = await bake(name, { file: { inline: endless }, targets: ["*"] });
    return await reaches(
      made,
      "building",
      ({ status }) => status?.targets?.every(({ phase }) => phase === "Running") === true,
    );
  }

  it("ends its builds when it is cancelled, also under a controller that came later", async () => {
    const made = await building("cancelled");
    await daemon.kiln.stop();
    await daemon.agent.stop();
    await controllerComes(daemon);
    const { namespace, name } = made.metadata;
    const wish = { metadata: { namespace, name }, spec: { cancel: true } };
    await daemon.server.client.apply(bakeType, wish as never, { fieldManager: "person" }, never);
    const status = await ends(made);
    assert.equal(status.phase, "Cancelled");
    assert.deepEqual(told(status), [
      ["a", "Cancelled", "Cancelled"],
      ["b", "Cancelled", "Cancelled"],
    ]);
  });

  it("owns its BuildRuns, so that they are deleted with it, and notices one that is gone", async () => {
    const made = await building("deleted");
    const [first, second] = await runsOf(made);
    assert.ok(first !== undefined && second !== undefined);
    for (const { metadata } of [first, second])
      assert.deepEqual(
        metadata.ownerReferences?.map(({ kind, uid, controller }) => [kind, uid, controller]),
        [["Bake", made.metadata.uid, true]],
      );
    await deleted(first);
    const status = await ends(made);
    assert.deepEqual([status.phase, status.failure?.reason], ["Failed", "BuildRunDeleted"]);
    // There is no garbage collector here; the e2e suite has one.
    await deleted(second);
  });

  it("is deleted when its time is over", async () => {
    const file = { target: { a: { "dockerfile-inline": "FROM scratch\n" } } };
    const made = await bake("expiring", {
      ...{ file: { inline: file }, targets: ["a"], ttlAfterFinished: "1s" },
    });
    await until("the Bake to be gone", async () => {
      return (await daemon.server.client.get(bakeType, made.metadata, never)) === undefined;
    });
  });

  it("waits for a ConfigMap that is on its way, and is not begun again when it is applied twice", async () => {
    await daemon.kiln.stop();
    await daemon.agent.stop();
    await controllerComes(daemon, { missingGraceMs: 30_000 });
    const spec = { file: { configMap: { name: "late", key: "f" } }, targets: ["a"] };
    const made = await bake("late", spec);
    await reaches(made, "stalled", ({ status }) =>
      (status?.conditions ?? []).some(
        ({ type, reason }) => type === "Stalled" && reason === "ConfigMapNotFound",
      ),
    );
    const file = { target: { a: { "dockerfile-inline": "FROM scratch\n" } } };
    await configMap(daemon, "late", { f: JSON.stringify(file) });
    const first = await ends(made);
    assert.equal(first.phase, "Succeeded");
    assert.equal((await runsOf(made)).length, 1);
  });

  const a = { "dockerfile-inline": "FROM scratch\n" };
  const wrong: readonly [string, string, RegExp, Record<string, unknown>][] = [
    ["that is no JSON", "BakeFileInvalid", /no JSON/, { file: { text: 'target "a" {}' } }],
    [
      "that nothing has evaluated",
      "BakeFileInvalid",
      /target\.a\.args\.V .*bake --print/,
      { file: { inline: { target: { a: { ...a, args: { V: "${V}" } } } } } },
    ],
    [
      "whose ConfigMap is missing",
      "ConfigMapNotFound",
      /"absent"/,
      { file: { configMap: { name: "absent", key: "f" } } },
    ],
    [
      "without the target",
      "TargetNotFound",
      /"b"/,
      { file: { inline: { target: { a } } }, targets: ["b"] },
    ],
    [
      "whose targets build from one another",
      "TargetCircle",
      /a, b, a/,
      {
        file: {
          inline: {
            target: {
              a: { ...a, contexts: { x: "target:b" } },
              b: { ...a, contexts: { x: "target:a" } },
            },
          },
        },
      },
    ],
    [
      "with an override of nothing",
      "OverrideInvalid",
      /c\.tags=x/,
      { file: { inline: { target: { a } } }, set: ["c.tags=x"] },
    ],
    [
      "with a folder of a workstation",
      "TargetNotSupported",
      /target "a": context .*spec\.context/,
      { file: { inline: { target: { a: { context: "./web" } } } } },
    ],
    [
      "that the API server of BuildRuns refuses",
      "BuildRunRefused",
      /SOURCE_DATE_EPOCH/,
      {
        file: {
          inline: {
            target: {
              a: { ...a, tags: ["x.example/y"], output: ["type=image,rewrite-timestamp=true"] },
            },
          },
        },
      },
    ],
  ];

  for (const [index, [what, reason, message, spec]] of wrong.entries())
    it(`is refused for a file ${what}`, async () => {
      const made = await bake(`wrong-${index}`, { targets: ["a"], ...spec });
      const { phase, failure } = await ends(made);
      assert.deepEqual([phase, failure?.class, failure?.reason], ["Failed", "User", reason]);
      assert.match(failure?.message ?? "", message);
    });

  it("ends what was created already when the BuildRun of another target is refused", async () => {
    const slow = { "dockerfile-inline": `${busybox}RUN sleep 605\n` };
    const tags = ["x.example/y"];
    const bad = { ...a, tags, output: ["type=image,rewrite-timestamp=true"] };
    const file = { target: { slow, "z-bad": bad } };
    const status = await ends(await bake("partly", { file: { inline: file }, targets: ["*"] }));
    assert.deepEqual([status.phase, status.failure?.reason], ["Failed", "BuildRunRefused"]);
    assert.equal(status.failure?.target, "z-bad");
    assert.deepEqual(told(status), [
      ["slow", "Cancelled", "Cancelled"],
      ["z-bad", undefined, undefined],
    ]);
  });

  it("can not be changed, but for what may", async () => {
    const made = await bake("fixed", { file: { inline: { target: { a } } }, targets: ["a"] });
    await ends(made);
    const { namespace, name } = made.metadata;
    const change = (spec: Record<string, unknown>) =>
      daemon.server.client.apply(
        bakeType,
        { metadata: { namespace, name }, spec } as never,
        { fieldManager: "person", force: true } as never,
        never,
      );
    await assert.rejects(change({ targets: ["b"] }), /targets can not be changed/);
    await change({ ttlAfterFinished: "1h" });
  });
});
