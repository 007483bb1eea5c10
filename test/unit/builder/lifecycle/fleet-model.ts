// A ReplicaSet or StatefulSet with its pods, as Kubernetes' controllers move them, for properties of the plan.

import { type FleetPlan, type Member, planFleet } from "../../../../src/builder/lifecycle/plan.ts";

type Pod = { -readonly [K in keyof Member]: Member[K] };

export const drainTimeoutMs = 60_000;

/** One workload, and the runs on its pods. */
export class FleetModel {
  readonly ordered: boolean;
  readonly surge: boolean;
  wanted: number;
  replicas: number;
  pods: Pod[] = [];
  nowMs = 1_000_000;
  /** Runs that lost their pod without having been cut in time. */
  lost = 0;
  #names = 0;

  constructor(o: { ordered: boolean; surge: boolean; wanted: number }) {
    this.ordered = o.ordered;
    this.surge = o.surge;
    this.wanted = o.wanted;
    this.replicas = o.wanted;
    this.settle();
  }

  /** What Kiln does at one look, what Kubernetes makes of it, and pods that start. */
  look(): FleetPlan {
    const { ordered, surge, wanted, replicas, nowMs, pods: members } = this;
    const state = { ordered, surge, wanted, replicas, nowMs };
    const plan = planFleet({ ...state, members, drainTimeoutMs });
    for (const pod of this.pods) {
      const drain = plan.drain.find(({ id }) => id === pod.id);
      if (drain !== undefined) pod.draining = { why: drain.why, sinceMs: this.nowMs };
      if (plan.resume.includes(pod.id)) pod.draining = undefined;
      if (plan.cut.includes(pod.id)) pod.running = 0;
      if (plan.leave.includes(pod.id) && pod.up) pod.fenced = true;
    }
    for (const id of plan.remove) this.delete(id);
    this.replicas = plan.replicas;
    this.settle();
    this.#judge();
    return plan;
  }

  /** The workload's controller: too many go in Kubernetes' order, too few are made. */
  settle(): void {
    const above = this.pods.filter(({ ordinal = -1 }) => ordinal >= this.replicas);
    for (const { id } of above) this.delete(id);
    while (this.pods.length > this.replicas) this.delete(this.#surplus().id);
    while (this.pods.length < this.replicas) this.pods.push(this.#create());
    this.pods.sort((a, b) => (a.ordinal ?? 0) - (b.ordinal ?? 0));
  }

  delete(id: string): void {
    this.lost += this.pods.find((pod) => pod.id === id)?.running ?? 0;
    this.pods = this.pods.filter((pod) => pod.id !== id);
  }

  /** Every pod that was starting is up. */
  start(): void {
    for (const pod of this.pods) pod.up = true;
    this.#judge();
  }

  edit(): void {
    for (const pod of this.pods) pod.outdated = true;
  }

  #judge(): void {
    for (const pod of this.pods) pod.usable = pod.up && !pod.draining && !pod.fenced;
  }

  #surplus(): Pod {
    const rank = (pod: Pod): number[] => [
      pod.up && !pod.fenced ? 1 : 0,
      pod.draining === undefined ? 1 : 0,
    ];
    const [first] = [...this.pods].sort((a, b) => {
      const [left, right] = [rank(a), rank(b)];
      return left.map((value, at) => value - (right[at] ?? 0)).find((by) => by !== 0) ?? 0;
    });
    if (first === undefined) throw new Error("no pod is too many");
    return first;
  }

  #create(): Pod {
    this.#names += 1;
    const taken = new Set(this.pods.map(({ ordinal }) => ordinal));
    let ordinal = 0;
    while (taken.has(ordinal)) ordinal += 1;
    return {
      id: this.ordered ? `b-${ordinal}` : `b-${this.#names}`,
      ordinal: this.ordered ? ordinal : undefined,
      up: false,
      usable: false,
      terminating: false,
      outdated: false,
      spent: false,
      fenced: false,
      running: 0,
      idleMs: 0,
    };
  }
}
