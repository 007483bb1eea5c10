// A cache on a scripted server and a clock that the test moves.

import { pino } from "pino";
import { ResourceCache } from "../../../src/kube/cache.ts";
import type { CacheEvent, CacheOptions } from "../../../src/kube/cache.ts";
import { kubeClient } from "../../../src/kube/rest.ts";
import { FakeClock } from "../runtime/fake-clock.ts";
import { random } from "../runtime/random.ts";
import { ScriptedServer, things } from "./scripted-server.ts";
import type { Thing } from "./scripted-server.ts";

/** For a client whose transport is not a socket. */
export const noCluster = {
  applyToHTTPSOptions: () => Promise.reject(new Error("not used")),
  getCurrentCluster: () => null,
  getCurrentUser: () => null,
};

/** A cache on a scripted server, and everything it told. */
export function aCache(o: Partial<CacheOptions<Thing>> = {}, seed = 1) {
  const clock = new FakeClock();
  const server = new ScriptedServer(clock);
  const draw = random(seed);
  const client = kubeClient(noCluster, { transport: server, clock, random: draw });
  const log = pino({ level: "silent" });
  const cache = new ResourceCache<Thing>({ client, type: things, log, clock, random: draw, ...o });
  const told: CacheEvent<Thing>[] = [];
  cache.onChange((event) => told.push(event));
  const brief = () => told.map((e) => `${e.type} ${e.key} ${e.object.metadata.uid}`);
  return { clock, server, client, cache, told, brief };
}
