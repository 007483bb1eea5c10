// Which instances of a Builder go, which stop taking runs, and how many does the workload keep? One rule for rolls,
// scale-down and instances that serve one run: nothing goes before its runs ended or its time is up. Pure.

/** Why an instance is to go: another template, too many instances, or its one run is over. */
export type LeaveReason = "Roll" | "ScaleDown" | "Used";

/** One pod of the Builder. */
export interface Member {
  readonly id: string;
  /** Its place in a StatefulSet. */
  readonly ordinal?: number | undefined;
  /** BuildKit answers. */
  readonly up: boolean;
  /** It takes new runs. */
  readonly usable: boolean;
  readonly terminating: boolean;
  /** Of an older template. */
  readonly outdated: boolean;
  /** It had the one run that it is for. */
  readonly spent: boolean;
  /** Its agent takes no job any more, for good. */
  readonly fenced: boolean;
  readonly running: number;
  /** Milliseconds without a run. */
  readonly idleMs: number;
  /** Set once it takes no new run. */
  readonly draining?: { readonly why: LeaveReason; readonly sinceMs: number } | undefined;
}

/** What is there, and what should be. */
export interface FleetState {
  /** A StatefulSet: instances go from the top, and come back under their names. */
  readonly ordered: boolean;
  /** Instances that the workload is told to have now. */
  readonly replicas: number;
  /** Instances that there should be. */
  readonly wanted: number;
  /** A roll may have one instance more meanwhile. */
  readonly surge: boolean;
  readonly members: readonly Member[];
  readonly drainTimeoutMs: number;
  /** All of them have been drained since then, in milliseconds since the epoch. */
  readonly allSinceMs?: number | undefined;
  readonly nowMs: number;
}

/** What to do. Everything in it may be repeated. */
export interface FleetPlan {
  /** Instances that the workload is to have. */
  readonly replicas: number;
  /** Takes no new run from now on. */
  readonly drain: readonly { readonly id: string; readonly why: LeaveReason }[];
  /** Takes runs again. */
  readonly resume: readonly string[];
  /** Its time is up: its runs start again elsewhere. */
  readonly cut: readonly string[];
  /** Goes now: idle, and takes no run. Those also in `remove` are deleted by name, the others by fewer `replicas`. */
  readonly leave: readonly string[];
  /** Deleted by name; the workload makes another one of the newest template. */
  readonly remove: readonly string[];
}

/** The plan for a fleet. */
export function planFleet(fleet: FleetState): FleetPlan {
  const staying = fleet.members.filter(({ terminating }) => !terminating);
  const done = staying.filter((member) => mustGo(member) && mayGo(member));
  const rest = staying.filter((member) => !done.includes(member));
  const target = fleet.wanted + surgeOf(fleet, rest);
  const victims = victimsOf(fleet, rest, target);
  const drain = leaving(fleet, rest, victims);
  const settled = { staying, done, rest, target, victims };
  return {
    ...(fleet.ordered ? orderedSize(fleet, settled) : size(settled)),
    drain: [...drain]
      .filter(([member, why]) => member.draining?.why !== why)
      .map(([{ id }, why]) => ({ id, why })),
    resume: rest
      .filter((member) => member.draining !== undefined && !drain.has(member))
      .map(({ id }) => id),
    // Also one that is terminating: its pod may be of a template that waits for longer.
    cut: fleet.members.filter((member) => isOver(fleet, member)).map(({ id }) => id),
  };
}

interface Settled {
  readonly staying: readonly Member[];
  /** Those that are to be replaced, and may go. */
  readonly done: readonly Member[];
  readonly rest: readonly Member[];
  readonly target: number;
  /** Those that are too many. */
  readonly victims: readonly Member[];
}

function mustGo({ outdated, spent, fenced }: Member): boolean {
  return outdated || spent || fenced;
}

/** Nothing runs there, and nothing new can: it was told so, or does not answer. */
function mayGo({ running, draining, up, fenced }: Member): boolean {
  return running === 0 && (draining !== undefined || fenced || !up);
}

function isServing({ up, running }: Member): boolean {
  return up || running > 0;
}

/** A roll begins with an instance of the new template, so that there always is one. */
function surgeOf({ ordered, surge, wanted }: FleetState, rest: readonly Member[]): number {
  const rolls = rest.some((member) => member.outdated && isServing(member));
  return !ordered && surge && wanted > 0 && rolls ? 1 : 0;
}

function victimsOf(fleet: FleetState, rest: readonly Member[], target: number): Member[] {
  if (fleet.ordered) return rest.filter(({ ordinal }) => (ordinal ?? 0) >= fleet.wanted);
  const excess = Math.max(0, rest.length - target);
  return [...rest].sort(firstToGo).slice(0, excess);
}

/** Least is lost with the first: one that already drains, does not answer, is old, has few runs, was idle longest. */
function firstToGo(a: Member, b: Member): number {
  const flags: ((member: Member) => boolean)[] = [
    ({ draining }) => draining?.why === "ScaleDown",
    ({ up, running }) => !up && running === 0,
    mustGo,
  ];
  for (const flag of flags) {
    const difference = Number(flag(b)) - Number(flag(a));
    if (difference !== 0) return difference;
  }
  return a.running - b.running || b.idleMs - a.idleMs || (a.id < b.id ? -1 : 1);
}

/** Every instance that should take no new run, and why. */
function leaving(
  fleet: FleetState,
  rest: readonly Member[],
  victims: readonly Member[],
): Map<Member, LeaveReason> {
  const all = new Map<Member, LeaveReason>();
  for (const member of victims) all.set(member, "ScaleDown");
  for (const member of rest) if (member.spent && !all.has(member)) all.set(member, "Used");
  const rolling = rest.filter(
    (member) => member.outdated && member.draining?.why === "Roll" && !all.has(member),
  );
  const next = rolling.length > 0 ? rolling : nextToRoll(fleet, rest, all);
  for (const member of next) all.set(member, "Roll");
  return all;
}

/** One at a time, and only while enough others take runs. */
function nextToRoll(
  { wanted, ordered, surge, members }: FleetState,
  rest: readonly Member[],
  all: ReadonlyMap<Member, LeaveReason>,
): Member[] {
  const candidates = rest.filter((member) => member.outdated && !all.has(member));
  const usable = rest.filter((member) => member.usable && !all.has(member)).length;
  const needed = !ordered && surge ? wanted + 1 : wanted;
  const isEnding = ordered && members.some(({ terminating }) => terminating);
  if (usable < needed || isEnding) return [];
  return candidates.sort(firstToGo).slice(0, 1);
}

function size({ staying, done, target, victims }: Settled): Sized {
  const gone = [...done, ...victims.filter(mayGo)];
  const leave = gone.map(({ id }) => id);
  const kept = staying.length - gone.length;
  // Too few would be left: the workload makes others for those that are deleted by name.
  if (kept < target) return { replicas: target, leave, remove: leave };
  return { replicas: kept, leave, remove: [] };
}

type Sized = Pick<FleetPlan, "replicas" | "leave" | "remove">;

function orderedSize({ replicas, wanted, members }: FleetState, { done, victims }: Settled): Sized {
  const at = new Map(members.map((member) => [member.ordinal, member]));
  let lowest = Math.max(replicas, wanted);
  const leave: string[] = [];
  while (lowest > wanted) {
    const member = at.get(lowest - 1);
    const isGone = member === undefined || member.terminating;
    if (!isGone && !(victims.includes(member) && mayGo(member)) && !done.includes(member)) break;
    if (!isGone) leave.push(member.id);
    lowest -= 1;
  }
  const remove = done.filter(({ ordinal = 0 }) => ordinal < lowest).map(({ id }) => id);
  return { replicas: lowest, leave: [...leave, ...remove], remove };
}

function isOver({ drainTimeoutMs, allSinceMs, nowMs }: FleetState, member: Member): boolean {
  const sinceMs = Math.min(
    member.draining?.sinceMs ?? Number.POSITIVE_INFINITY,
    allSinceMs ?? Number.POSITIVE_INFINITY,
  );
  return member.running > 0 && nowMs - sinceMs >= drainTimeoutMs;
}
