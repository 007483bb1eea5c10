// A remote Builder behind a real sshd: who it is, whom it trusts, and what it says when one of them is wrong.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { start } from "../../cluster/base/process.ts";
import {
  buildctlPath,
  type Buildkitd,
  buildkitd,
  freePort,
  scratch,
  type Sshd,
  sshd,
  waitFor,
} from "../../cluster/index.ts";
import { connect } from "../../../src/buildkit/index.ts";
import { solve } from "../buildkit/solving.ts";
import { Kiln, soon } from "./kiln.ts";

const run = promisify(execFile);
type Data = Record<string, string>;

describe("a remote Builder behind SSH", () => {
  let kiln: Kiln;
  let daemon: Buildkitd;
  let host: Sshd;
  let locked: Sshd;
  const place = scratch("ssh-builder");

  before(async () => {
    kiln = await Kiln.start({ namespacedSockets: true });
    daemon = await buildkitd();
    const folder = path.dirname(await buildctlPath());
    const serve = `#!/bin/sh\nPATH=${folder}:$PATH exec $SSH_ORIGINAL_COMMAND\n`;
    const at = (name: string): string => {
      mkdirSync(path.join(place.folder, name, "pids"), { recursive: true });
      return path.join(place.folder, name);
    };
    host = await sshd({ folder: at("host"), serve });
    locked = await sshd({ folder: at("locked"), serve, passphrase: "open sesame" });
  });
  after(async () => {
    await kiln?.stop();
    await host?.stop();
    await locked?.stop();
    await daemon?.stop();
    place.remove();
  });

  const socket = (): string => daemon.address.slice("unix://".length);
  const addressOf = ({ user, port }: Sshd): string => `ssh://${user}@127.0.0.1:${port}${socket()}`;
  const good = (): Data => ({ known_hosts: host.knownHosts, "ssh-privatekey": host.privateKey });

  async function builder(data: Data, endpoint = addressOf(host), more = {}): Promise<string> {
    const namespace = await kiln.namespace();
    await kiln.secret(namespace, "host", data);
    await kiln.allow(namespace, "default", "host");
    const ssh = { secretRef: { name: "host" }, ...more };
    await kiln.builder(namespace, { remote: { endpoint, ssh } });
    return namespace;
  }

  it("is ready, and builds", async () => {
    const namespace = await builder(good());
    const status = await kiln.becomes(namespace, "True InstancesReady");
    assert.equal(status.version, "v0.34.2");
    const ref = kiln.fleet.find({ name: "main" }, namespace);
    assert.ok(ref !== undefined);
    const { endpoint } = await kiln.fleet.place(ref, "remote-0", soon());
    const client = connect(endpoint);
    try {
      await solve(client, "FROM busybox\nRUN echo over ssh\n");
    } finally {
      client.close();
    }
  });

  it("opens a key with its passphrase", async () => {
    const data = { known_hosts: locked.knownHosts, "ssh-privatekey": locked.privateKey };
    const namespace = await builder(data, addressOf(locked));
    const status = await kiln.becomes(namespace, "False SecretInvalid");
    assert.match(status.conditions?.[0]?.message ?? "", /passphrase/);
    await kiln.secret(namespace, "host", { ...data, passphrase: "open sesame\n" });
    await kiln.becomes(namespace, "True InstancesReady");
  });

  it("takes the keys of an agent", async () => {
    const agentSocket = path.join(place.folder, "agent.sock");
    const agent = await start({
      name: "ssh-agent",
      folder: place.folder,
      command: ["ssh-agent", "-D", "-a", agentSocket],
    });
    try {
      const env = { ...process.env, SSH_AUTH_SOCK: agentSocket };
      await waitFor("the agent", async () => run("ssh-add", [host.keyFile], { env }), {
        deadlineMs: 10_000,
        processes: [agent],
      });
      const only = { known_hosts: host.knownHosts };
      await kiln.becomes(
        await builder(only, addressOf(host), { agentSocket }),
        "True InstancesReady",
      );
      await run("ssh-add", ["-D"], { env });
      const status = await kiln.becomes(
        await builder(only, addressOf(host), { agentSocket }),
        "False SSHDenied",
      );
      assert.match(status.conditions?.[0]?.message ?? "", /any key of the agent/);
    } finally {
      await agent.stop();
    }
  });

  const faults: readonly (readonly [
    what: string,
    data: () => Data | Promise<Data>,
    reason: string,
    says: RegExp,
    endpoint?: () => string | Promise<string>,
  ])[] = [
    [
      "the host's key is another",
      () => ({
        ...good(),
        known_hosts: host.knownHosts.replace(/ \S+$/, ` ${locked.knownHosts.split(" ")[2] ?? ""}`),
      }),
      "HostKeyUnknown",
      /host key \(ssh-ed25519\) that 127\.0\.0\.1:\d+ shows is not in known_hosts/,
    ],
    [
      "the host is not in known_hosts",
      () => ({ ...good(), known_hosts: locked.knownHosts }),
      "HostKeyUnknown",
      /ssh-keyscan/,
    ],
    [
      "there are no known_hosts",
      () => ({ "ssh-privatekey": "x" }),
      "SecretInvalid",
      /no key known_hosts/,
    ],
    ["there is no key", () => ({ known_hosts: "x" }), "SecretInvalid", /no key ssh-privatekey/],
    [
      "the key is no key",
      () => ({ ...good(), "ssh-privatekey": "x" }),
      "SecretInvalid",
      /not usable/,
    ],
    [
      "the host does not take the key",
      async () => {
        const file = path.join(place.folder, "stranger");
        await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
        const { stdout } = await run("cat", [file]);
        return { ...good(), "ssh-privatekey": stdout };
      },
      "SSHDenied",
      /does not let .* in with the Secret's key/,
    ],
    [
      "no sshd listens",
      good,
      "ConnectionRefused",
      /Nothing listens there/,
      async () => `ssh://me@127.0.0.1:${await freePort()}`,
    ],
    ["the name is unknown", good, "NameNotResolved", /DNS/, () => "ssh://me@host.invalid"],
    [
      "no buildkitd listens on the host",
      good,
      "ConnectionRefused",
      /none\.sock/,
      () => `ssh://${host.user}@127.0.0.1:${host.port}${place.folder}/none.sock`,
    ],
  ];
  for (const [what, data, reason, says, endpoint] of faults) {
    it(`says so when ${what}`, async () => {
      const namespace = await builder(await data(), await endpoint?.());
      const status = await kiln.becomes(namespace, `False ${reason}`);
      assert.match(status.conditions?.[0]?.message ?? "", says);
    });
  }
});
