// Which of the steps that run at once has the word in a plain log? Pure.
// Rules and numbers: util/progress/progressui/printer.go, BuildKit v0.34.2.

const antiFlickerSeconds = 5;
const maxSilentSeconds = 10;

/** How much a step has had to say since it last began to wait. */
export interface Speaker {
  /** Events. */
  count: number;
  /** Local time of the first of them, milliseconds. */
  sinceMs: number;
}

interface Claim {
  readonly id: string;
  readonly seconds: number;
  /** Events a second. */
  readonly speed: number;
  readonly isSilentTooLong: boolean;
}

/** The step that speaks after the current one has said its news; undefined: nobody else. */
export function nextSpeaker(
  speakers: ReadonlyMap<string, Speaker>,
  now: {
    /** "": nobody has the word. */
    readonly current: string;
    readonly currentEnded: boolean;
    /** Running steps with news. */
    readonly running: ReadonlySet<string>;
    readonly nowMs: number;
  },
): string | undefined {
  const { current, nowMs } = now;
  const ids = new Set(current === "" ? now.running : [...now.running, current]);
  const claims = [...ids].flatMap((id) => claimOf(id, speakers.get(id), { current, nowMs }));
  let fastest: Claim | undefined;
  for (const claim of claims) {
    if (fastest === undefined || claim.isSilentTooLong || fastest.speed < claim.speed)
      fastest = claim;
  }
  if (now.currentEnded || current === "") return fastest?.id;
  const silent = claims.find(({ isSilentTooLong }) => isSilentTooLong);
  if (silent !== undefined) return silent.id;
  const own = claims.find(({ id }) => id === current);
  if (own === undefined) return undefined;
  const share = own.speed / claims.reduce((sum, { speed }) => sum + speed, 0);
  const isLongEnough = (1 / (1 - share)) * antiFlickerSeconds < own.seconds;
  return isLongEnough ? fastest?.id : undefined;
}

function claimOf(
  id: string,
  speaker: Speaker | undefined,
  { current, nowMs }: { readonly current: string; readonly nowMs: number },
): Claim[] {
  if (speaker === undefined) return [];
  const seconds = (nowMs - speaker.sinceMs) / 1000;
  const speed = speaker.count / seconds;
  return [{ id, seconds, speed, isSilentTooLong: seconds > maxSilentSeconds && id !== current }];
}
