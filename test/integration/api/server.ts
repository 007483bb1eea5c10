// A real API server with Kiln's CRDs, shared by the suites of this folder, and the few requests they
// make. Plain HTTPS: what is tested is the server's answer, word for word, not a client of ours.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import https from "node:https";
import { after } from "mocha";
import { customResourceDefinitions } from "../../../src/api/crd.ts";
import { group, kinds, version } from "../../../src/api/kinds.ts";
import { type ControlPlane, controlPlane } from "../../cluster/index.ts";

/** An answer of the API server; `body` is the object or a `Status`. */
export interface Answer {
  readonly status: number;
  // Any object of any kind: tests look into it by name.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/** One request with every right. `type` is the content type of `body`. */
export type Send = (method: string, path: string, body?: unknown, type?: string) => Promise<Answer>;

/** The server of these suites: started once, ended after the last. */
export interface ApiServer {
  readonly plane: ControlPlane;
  readonly send: Send;
}

let started: Promise<ApiServer> | undefined;

/** Starts the control plane at the first call, with the CRDs of src/api established. */
export function apiServer(): Promise<ApiServer> {
  started ??= start();
  return started;
}

after(async () => {
  const server = await started;
  await server?.plane.stop();
});

async function start(): Promise<ApiServer> {
  const plane = await controlPlane();
  const send = sender(plane);
  for (const definition of customResourceDefinitions()) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions`;
    const answer = await send("POST", path, definition);
    assert.equal(answer.status, 201, answer.body.message);
  }
  await until(async () => {
    const answers = await Promise.all(kinds.map(({ plural }) => send("GET", pathOf(plural))));
    return answers.every(({ status }) => status === 200);
  });
  return { plane, send };
}

/** Path of a collection of our kinds; with a namespace if the kind has one. */
export function pathOf(plural: string, namespace?: string): string {
  const base = `/apis/${group}/${version}`;
  return namespace === undefined
    ? `${base}/${plural}`
    : `${base}/namespaces/${namespace}/${plural}`;
}

/** Waits for a condition, 30 s at most. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, "the CRDs were not served within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function sender(plane: ControlPlane): Send {
  const agent = new https.Agent({ ca: readFileSync(plane.ca), keepAlive: true });
  return (method, path, body, type = "application/json") =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${plane.adminToken}`, "content-type": type };
      const request = https.request(
        `${plane.server}${path}`,
        { method, headers, agent, timeout: 20_000 },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => (text += chunk));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, body: bodyOf(text) }),
          );
        },
      );
      request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer`)));
      request.on("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
}

/** An error before routing is plain text; everything else is JSON. */
function bodyOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text };
  }
}
