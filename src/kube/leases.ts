// The Lease object behind leader election: runtime/lease.ts's port over the API server, with the
// resourceVersion as optimistic lock.

import { LeaseTaken } from "../runtime/lease.ts";
import type { LeasePort, LeaseRecord } from "../runtime/lease.ts";
import type { KubeClient } from "./client.ts";
import { isApiError } from "./errors.ts";
import type { ObjectMeta } from "./object.ts";
import { leases } from "./types.ts";
import type { Lease } from "./types.ts";

/** The port to one Lease. It is created by the first candidate. */
export function leasePort(
  client: KubeClient,
  at: { readonly namespace: string; readonly name: string },
): LeasePort {
  return {
    get: async (signal) => {
      const lease = await client.get(leases, at, signal);
      return lease === undefined ? undefined : recordOf(lease);
    },
    create: (record, signal) =>
      stored(client.create(leases, { metadata: at, spec: specOf(record) }, signal)),
    replace: (record, signal) => {
      const metadata: ObjectMeta = { ...at, resourceVersion: record.version };
      return stored(client.replace(leases, { metadata, spec: specOf(record) }, signal));
    },
  };
}

async function stored(write: Promise<Lease>): Promise<LeaseRecord> {
  try {
    return recordOf(await write);
  } catch (error) {
    const lostRace = isApiError(error, "Conflict", "AlreadyExists", "NotFound");
    throw lostRace ? new LeaseTaken({ cause: error }) : error;
  }
}

function recordOf(lease: Lease): LeaseRecord {
  const spec = lease.spec ?? {};
  return {
    holder: spec.holderIdentity ?? "",
    durationSeconds: spec.leaseDurationSeconds ?? 0,
    acquireTime: spec.acquireTime ?? "",
    renewTime: spec.renewTime ?? "",
    transitions: spec.leaseTransitions ?? 0,
    version: lease.metadata.resourceVersion,
  };
}

function specOf(record: LeaseRecord): NonNullable<Lease["spec"]> {
  return {
    holderIdentity: record.holder,
    leaseDurationSeconds: record.durationSeconds,
    acquireTime: record.acquireTime,
    renewTime: record.renewTime,
    leaseTransitions: record.transitions,
  };
}
