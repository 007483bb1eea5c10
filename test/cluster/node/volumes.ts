// How does a PersistentVolumeClaim of class "standard" get a volume? This small provisioner gives each
// claim that has been scheduled a folder on the node as a local volume, and removes the folder with the
// claim. Sizes are not enforced. Runs as a process of its own: node volumes.ts <kubeconfig> <folder>.
import { chmodSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

/** Name of the storage class and of what provisions it. */
export const storageClass = { name: "standard", provisioner: "kiln.build/test-volumes" } as const;

const watchSeconds = 300;
const pauseMs = 250;
const requestMs = 10_000;
const selectedNode = "volume.kubernetes.io/selected-node";
const provisionedBy = "pv.kubernetes.io/provisioned-by";

const Metadata = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const Claim = z.object({
  metadata: Metadata,
  spec: z.object({
    storageClassName: z.string().optional(),
    volumeName: z.string().optional(),
    accessModes: z.array(z.string()).optional(),
    resources: z.object({ requests: z.record(z.string(), z.string()) }),
  }),
});
type Claim = z.infer<typeof Claim>;

const Volume = z.object({
  metadata: Metadata,
  status: z.object({ phase: z.string().optional() }).optional(),
});

interface Api {
  readonly server: string;
  readonly token: string;
  readonly agent: https.Agent;
}

const Kubeconfig = z.object({
  clusters: z.array(
    z.object({
      cluster: z.object({ server: z.string(), "certificate-authority-data": z.string() }),
    }),
  ),
  users: z.array(z.object({ user: z.object({ token: z.string() }) })),
});

function connect(kubeconfig: string): Api {
  const parsed = Kubeconfig.parse(JSON.parse(readFileSync(kubeconfig, "utf8")));
  const cluster = parsed.clusters[0]?.cluster;
  const token = parsed.users[0]?.user.token;
  if (cluster === undefined || token === undefined)
    throw new Error(`${kubeconfig} names no cluster`);
  const ca = Buffer.from(cluster["certificate-authority-data"], "base64");
  return { server: cluster.server, token, agent: new https.Agent({ ca, keepAlive: true }) };
}

interface CallOptions {
  readonly body?: object;
  readonly onData?: () => void;
  readonly timeoutMs?: number;
}

function call(api: Api, method: string, where: string, o: CallOptions = {}): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      `${api.server}${where}`,
      {
        method,
        agent: api.agent,
        timeout: o.timeoutMs ?? requestMs,
        headers: { authorization: `Bearer ${api.token}`, "content-type": "application/json" },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          if (o.onData === undefined) text += chunk;
          else o.onData();
        });
        response.once("error", reject);
        response.once("end", () => {
          const status = response.statusCode ?? 0;
          // Somebody else was first: the next look at the world decides again.
          if (status >= 400 && status !== 404 && status !== 409) {
            reject(new Error(`${method} ${where}: ${status} ${text.slice(0, 300)}`));
          } else resolve(text === "" ? undefined : JSON.parse(text));
        });
      },
    );
    request.once("timeout", () =>
      request.destroy(new Error(`${method} ${where}: no answer in time`)),
    );
    request.once("error", reject);
    request.end(o.body === undefined ? undefined : JSON.stringify(o.body));
  });
}

function volumeFor(claim: Claim, folder: string, node: string): object {
  const { name, namespace, uid } = claim.metadata;
  const own = { key: "kubernetes.io/hostname", operator: "In", values: [node] };
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: `pvc-${uid}`, annotations: { [provisionedBy]: storageClass.provisioner } },
    spec: {
      accessModes: claim.spec.accessModes ?? ["ReadWriteOnce"],
      capacity: { storage: claim.spec.resources.requests["storage"] ?? "1Gi" },
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", name, namespace, uid },
      local: { path: folder },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [own] }] } },
      persistentVolumeReclaimPolicy: "Delete",
      storageClassName: storageClass.name,
      volumeMode: "Filesystem",
    },
  };
}

async function reconcile(api: Api, root: string): Promise<void> {
  const list = z.object({ items: z.array(z.unknown()) });
  const claims = list.parse(await call(api, "GET", "/api/v1/persistentvolumeclaims"));
  for (const item of claims.items) {
    const claim = Claim.parse(item);
    const node = claim.metadata.annotations?.[selectedNode];
    const ours = claim.spec.storageClassName === storageClass.name;
    if (!ours || claim.spec.volumeName !== undefined || node === undefined) continue;
    const folder = path.join(root, `pvc-${claim.metadata.uid}`);
    mkdirSync(folder, { recursive: true });
    // Whatever user the pod runs as may write, as with a freshly formatted disk and fsGroup.
    chmodSync(folder, 0o777);
    await call(api, "POST", "/api/v1/persistentvolumes", { body: volumeFor(claim, folder, node) });
  }
  const volumes = list.parse(await call(api, "GET", "/api/v1/persistentvolumes"));
  for (const item of volumes.items) {
    const volume = Volume.parse(item);
    const { name, annotations } = volume.metadata;
    const ours = annotations?.[provisionedBy] === storageClass.provisioner;
    if (!ours || volume.status?.phase !== "Released") continue;
    rmSync(path.join(root, name), { recursive: true, force: true });
    await call(api, "DELETE", `/api/v1/persistentvolumes/${name}`);
  }
}

async function watch(api: Api, resource: string, changed: () => void): Promise<never> {
  for (;;) {
    try {
      const query = `watch=true&timeoutSeconds=${watchSeconds}`;
      const timeoutMs = (watchSeconds + 10) * 1000;
      await call(api, "GET", `/api/v1/${resource}?${query}`, { onData: changed, timeoutMs });
    } catch (error) {
      console.error(String(error));
      await delay(pauseMs);
    }
  }
}

/** Looks at the world after every change, one look at a time. */
async function main(kubeconfig: string, root: string): Promise<never> {
  const api = connect(kubeconfig);
  mkdirSync(root, { recursive: true });
  let wake: () => void = () => undefined;
  let dirty = true;
  const changed = (): void => {
    dirty = true;
    wake();
  };
  for (const resource of ["persistentvolumeclaims", "persistentvolumes"]) {
    void watch(api, resource, changed);
  }
  for (;;) {
    if (!dirty) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    dirty = false;
    try {
      await reconcile(api, root);
    } catch (error) {
      console.error(String(error));
      await delay(pauseMs);
      dirty = true;
    }
  }
}

if (import.meta.main) {
  const [kubeconfig, root] = process.argv.slice(2);
  if (kubeconfig === undefined || root === undefined) {
    console.error("usage: node volumes.ts <kubeconfig> <folder for volumes>");
    process.exit(2);
  }
  await main(kubeconfig, root);
}
