// The status stream of real builds, cut again and again: what is told in the end is what an uncut one tells.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  type BuildkitClient,
  connect,
  parseEndpoint,
  type SolveEvent,
} from "../../../src/buildkit/index.ts";
import { followStatus } from "../../../src/buildkit/progress/status.ts";
import { advance, noProgress } from "../../../src/buildkit/progress/state.ts";
import type { Channel } from "../../../src/buildkit/rpc/channel.ts";
import { dial } from "../../../src/buildkit/rpc/dial.ts";
import { type Buildkitd, buildkitd } from "../../cluster/index.ts";
import { deadline, printed, solve } from "./solving.ts";

/** A channel whose streams break after so many messages, as long as `cuts` says so. */
function breaking(channel: Channel, messages: number, cuts: { left: number }): Channel {
  return {
    unary: (method, request, limits) => channel.unary(method, request, limits),
    bidi: (method, headers) => channel.bidi(method, headers),
    close: () => channel.close(),
    async *serverStream(method, request, limits) {
      let count = 0;
      for await (const message of channel.serverStream(method, request, limits)) {
        if (cuts.left > 0 && ++count > messages) {
          cuts.left--;
          throw new Error("cut");
        }
        yield message;
      }
    },
  };
}

/**
 * What does not depend on how records are grouped into messages, and on which of them were overwritten before they
 * were sent: each stream of output as a whole, and how each step ended.
 */
function outcome(events: readonly SolveEvent[]): unknown {
  const output: Record<string, string> = {};
  for (const event of events) {
    if (event.kind !== "log") continue;
    const stream = `${event.vertex} ${event.stream}`;
    output[stream] = (output[stream] ?? "") + Buffer.from(event.data).toString();
  }
  const steps = [...advance(noProgress, events, 0).steps].map(([id, step]) => {
    const { cached, error, intervals, warnings } = step;
    return [id, { cached, error, intervals, warnings: warnings.map(({ short }) => short) }];
  });
  return { output, steps: Object.fromEntries(steps) as unknown };
}

describe("a status stream that breaks", () => {
  let daemon: Buildkitd;
  let client: BuildkitClient;
  let channel: Channel;

  before(async () => {
    daemon = await buildkitd();
    client = connect(parseEndpoint(daemon.address));
    channel = dial(parseEndpoint(daemon.address));
  });

  after(async () => {
    channel.close();
    client.close();
    await daemon.stop();
  });

  const dockerfile = (salt: string): string => `FROM busybox
MAINTAINER nobody
RUN echo ${salt}; for i in $(seq 1 150); do echo "out $i"; echo "err $i" >&2; done
RUN for i in $(seq 1 20); do printf "half $i"; sleep 0.02; echo " whole"; done
`;

  for (const messages of [1, 5]) {
    it(`tells everything once when it does so after every ${messages} messages`, async () => {
      const ref = randomUUID();
      const whole: SolveEvent[] = [];
      const told: SolveEvent[] = [];
      const cuts = { left: 8 };
      let over = false;
      const { seen, onEvent } = printed("out 1\n");
      const solving = solve(client, dockerfile(ref), {
        ref,
        onEvent(event) {
          whole.push(event);
          onEvent(event);
        },
      });
      await seen;
      const following = followStatus(breaking(channel, messages, cuts), {
        ref,
        onEvent: (event) => told.push(event),
        signal: deadline(),
        solveIsOver: () => over,
      });
      await solving;
      over = cuts.left === 0; // breaks that come after the end are for the next test
      await following;
      assert.deepEqual(outcome(told), outcome(whole));
    });
  }

  it("is caught up with out of the history when the build has ended meanwhile", async () => {
    const ref = randomUUID();
    const whole: SolveEvent[] = [];
    const told: SolveEvent[] = [];
    const cuts = { left: 1 };
    const ended = Promise.withResolvers<void>();
    let over = false;
    const slow: Channel = {
      ...breaking(channel, 5, cuts),
      async *serverStream(method, request, limits) {
        if (cuts.left === 0) await ended.promise; // opened again only when all is over
        yield* breaking(channel, 5, cuts).serverStream(method, request, limits);
      },
    };
    const solving = solve(client, dockerfile(ref), { ref, onEvent: (event) => whole.push(event) });
    const following = followStatus(slow, {
      ref,
      onEvent: (event) => told.push(event),
      signal: deadline(),
      solveIsOver: () => over,
    });
    await solving;
    over = true;
    ended.resolve();
    await following;
    assert.deepEqual(outcome(told), outcome(whole));
  });
});
