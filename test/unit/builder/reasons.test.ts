import assert from "node:assert/strict";
import {
  podProblem,
  workloadProblem,
  type Warning,
} from "../../../src/builder/kubernetes/reasons.ts";
import { workload, type Workload } from "../../../src/builder/kubernetes/workload.ts";
import type { Problem } from "../../../src/builder/health/problem.ts";
import type { Pod } from "../../../src/kube/types.ts";
import { aContainer, aPod, aRender } from "./samples.ts";

interface Case {
  readonly name: string;
  readonly pod: Pod;
  readonly warnings?: readonly Warning[];
  readonly reason: Problem["reason"];
  readonly says: RegExp;
}

const waiting = (reason: string, message?: string) =>
  aPod({
    phase: "Pending",
    initContainerStatuses: [
      aContainer({ state: { waiting: { reason, ...(message ? { message } : {}) } } }),
    ],
  });

const unscheduled = (message: string) =>
  aPod({
    phase: "Pending",
    podIP: "",
    initContainerStatuses: [],
    containerStatuses: [],
    conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }],
  });

const crashed = (over: { reason?: string; exitCode?: number; message?: string }) =>
  aPod({
    initContainerStatuses: [
      aContainer({
        restartCount: 2,
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 20s" } },
        lastState: { terminated: { exitCode: 1, reason: "Error", ...over } },
      }),
    ],
  });

const warning = (about: string, reason: string, message: string): Warning => ({
  about,
  reason,
  message,
  count: 2,
});
const created = aPod({
  phase: "Pending",
  podIP: "",
  initContainerStatuses: [aContainer({ state: { waiting: { reason: "ContainerCreating" } } })],
});

const cases: readonly Case[] = [
  {
    name: "the image is not there",
    pod: waiting("ErrImagePull", "not found"),
    reason: "ImagePullFailed",
    says: /builder-main-0 cannot get the image registry\.example\/buildkit:v1: not found\. Check spec\.kubernetes\.image/,
  },
  {
    name: "the kubelet backs off from pulling",
    pod: waiting("ImagePullBackOff", "Back-off pulling"),
    reason: "ImagePullFailed",
    says: /Back-off pulling/,
  },
  {
    name: "the image may not be pulled and is not there",
    pod: waiting("ErrImageNeverPull"),
    reason: "ImagePullFailed",
    says: /ErrImageNeverPull/,
  },
  {
    name: "the image's name is none",
    pod: waiting("InvalidImageName", "x"),
    reason: "InvalidImageName",
    says: /is not an image name/,
  },
  {
    name: "the runtime refuses the container",
    pod: waiting("CreateContainerError", "no such device"),
    reason: "ContainerCannotStart",
    says: /no such device/,
  },
  {
    name: "the kubelet refuses the container's configuration",
    pod: waiting("CreateContainerConfigError", 'secret "kiln-builder-tls" not found'),
    reason: "ContainerCannotStart",
    says: /kiln-builder-tls/,
  },
  {
    name: "the container's program is not there",
    pod: crashed({ reason: "StartError", message: "exec: not found" }),
    reason: "ContainerCannotStart",
    says: /exec: not found/,
  },
  {
    name: "no node is large enough",
    pod: unscheduled("0/1 nodes are available: 1 Insufficient cpu."),
    reason: "Unschedulable",
    says: /fits no node: 0\/1 nodes are available: 1 Insufficient cpu\. Lower/,
  },
  {
    name: "its volume is not bound",
    pod: unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    reason: "VolumeNotBound",
    says: /waits for its volume/,
  },
  {
    name: "buildkitd ends with an error: the last lines of its log",
    pod: crashed({ message: "hello\none\ntwo\nbuildkitd: unknown key\n" }),
    reason: "CrashLooping",
    says: /ended with code 1 \(2 restarts\): one \| two \| buildkitd: unknown key$/,
  },
  {
    name: "buildkitd ends with an error and a Go stack: what it said",
    pod: crashed({
      message:
        "buildkitd: no worker found\nmain.main\n\tgithub.com/moby/buildkit/main.go:495\nruntime.goexit\n\truntime/asm_amd64.s:1771\n",
    }),
    reason: "CrashLooping",
    says: /\(2 restarts\): buildkitd: no worker found$/,
  },
  {
    name: "buildkitd is out of memory",
    pod: crashed({ reason: "OOMKilled", exitCode: 137 }),
    reason: "CrashLooping",
    says: /ran out of memory/,
  },
  {
    name: "the node evicted the pod",
    pod: aPod({
      phase: "Failed",
      reason: "Evicted",
      message: "The node was low on resource: ephemeral-storage.",
    }),
    reason: "ContainerCannotStart",
    says: /ephemeral-storage/,
  },
  {
    name: "the pod is being deleted",
    pod: aPod({}, { deletionTimestamp: "2026-01-01T00:00:00Z" }),
    reason: "Terminating",
    says: /being deleted/,
  },
  { name: "the container is being made", pod: created, reason: "Starting", says: /is starting/ },
  {
    name: "a Secret to be mounted is missing",
    pod: created,
    warnings: [warning("Pod/builder-main-0", "FailedMount", 'secret "x" not found')],
    reason: "MountFailed",
    says: /secret "x" not found/,
  },
  {
    name: "the sandbox cannot be made",
    pod: created,
    warnings: [warning("Pod/builder-main-0", "FailedCreatePodSandBox", "no runtime for sandboxed")],
    reason: "ContainerCannotStart",
    says: /no runtime for sandboxed/,
  },
  {
    name: "the storage class makes no volume",
    pod: created,
    warnings: [
      warning(
        "PersistentVolumeClaim/state-builder-main-0",
        "ProvisioningFailed",
        'storageclass "fast" not found',
      ),
    ],
    reason: "VolumeNotBound",
    says: /storageclass "fast" not found/,
  },
  {
    name: "a mount failed once: the node did not know the Secret yet",
    pod: created,
    warnings: [{ ...warning("Pod/builder-main-0", "FailedMount", "timed out"), count: 1 }],
    reason: "Starting",
    says: /is starting/,
  },
  {
    name: "the scheduler lost a race and tries again",
    pod: unscheduled(
      "running PreBind plugin: Operation cannot be fulfilled on persistentvolumeclaims",
    ),
    reason: "Starting",
    says: /is starting/,
  },
  {
    name: "a warning about another pod is none of its business",
    pod: created,
    warnings: [warning("Pod/other", "FailedMount", "x")],
    reason: "Starting",
    says: /is starting/,
  },
];

describe("why a pod does not run", () => {
  for (const { name, pod, warnings, reason, says } of cases) {
    it(name, () => {
      const problem = podProblem(pod, warnings);
      assert.equal(problem?.reason, reason);
      assert.match(problem?.message ?? "", says);
    });
  }

  it("there is nothing to say about one that runs, even after crashes", () => {
    const running = aContainer({
      state: { running: {} },
      lastState: { terminated: { exitCode: 1 } },
    });
    assert.equal(podProblem(aPod({ initContainerStatuses: [running] })), undefined);
  });

  it("names the agent's image, which no Builder sets, and waits for the agent's container", () => {
    const state = { waiting: { reason: "ErrImagePull", message: "no such image" } };
    const missing = aContainer({ name: "agent", image: "registry.example/kiln:v1", state });
    const problem = podProblem(aPod({ containerStatuses: [missing] }));
    assert.equal(problem?.reason, "ImagePullFailed");
    assert.match(problem?.message ?? "", /kiln:v1.*--agent-image/);
    assert.equal(podProblem(aPod({ containerStatuses: [] }))?.reason, "Starting");
  });
});

function failing(message: string): Workload {
  const conditions = [{ type: "ReplicaFailure", status: "True", reason: "FailedCreate", message }];
  return { ...workload(aRender()), status: { conditions } } as Workload;
}

describe("why a workload has no pods", () => {
  const refusals: [string, string, Problem["reason"]][] = [
    [
      "quota",
      'pods "builder-main-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0',
      "QuotaExceeded",
    ],
    [
      "a quota that wants limits",
      'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: buildkitd',
      "QuotaExceeded",
    ],
    [
      "Pod Security",
      'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
      "AdmissionDenied",
    ],
    ["a webhook", 'admission webhook "no.example" denied the request: no', "AdmissionDenied"],
    ["anything else", "Internal error occurred", "CreateFailed"],
  ];
  for (const [what, message, reason] of refusals) {
    it(`because of ${what}, told by the ReplicaSet`, () => {
      const problem = workloadProblem(failing(message));
      assert.equal(problem?.reason, reason);
      assert.ok(problem?.message.includes(message.slice(0, 40)));
    });
  }

  it("because of quota, told by an Event of the StatefulSet", () => {
    const object = workload(aRender({ storage: { size: "1Gi" } }));
    const problem = workloadProblem(object, [
      warning("StatefulSet/builder-main", "FailedCreate", "exceeded quota: small"),
    ]);
    assert.equal(problem?.reason, "QuotaExceeded");
  });

  it("nobody says why", () => {
    assert.equal(workloadProblem(workload(aRender())), undefined);
  });
});
