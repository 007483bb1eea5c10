// kiln solve on a real buildkitd: each flag has its effect, files and exit codes are as buildctl's.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  type Buildkitd,
  buildkitd,
  type Registry,
  registry,
  repositoryRoot,
  type Scratch,
  scratch,
} from "../../cluster/index.ts";
import { type Ended, type Given, kiln, start } from "./kiln.ts";
import { imageDefinition } from "./llb.ts";

const run = promisify(execFile);

describe("kiln solve", () => {
  let daemon: Buildkitd;
  let closed: Registry;
  let place: Scratch;
  let contexts = 0;

  before(async () => {
    closed = await registry({ auth: { user: "me", password: "right" } });
    daemon = await buildkitd({
      insecureRegistries: [closed.host],
      args: ["--allow-insecure-entitlement", "network.host"],
    });
    place = scratch("solve");
  });

  after(async () => {
    await daemon.stop();
    await closed.stop();
    place.remove();
  });

  const at = (name: string): string => path.join(place.folder, name);

  /** Flags that build a Dockerfile. */
  function dockerfile(text: string, files: Readonly<Record<string, string>> = {}): string[] {
    const folder = at(`context-${++contexts}`);
    mkdirSync(folder);
    writeFileSync(path.join(folder, "Dockerfile"), text);
    for (const [name, content] of Object.entries(files))
      writeFileSync(path.join(folder, name), content);
    return [
      ...["--frontend", "dockerfile.v0"],
      ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
    ];
  }

  async function solve(flags: readonly string[], given?: Given): Promise<Ended> {
    return await kiln(["solve", "--addr", daemon.address, ...flags], given);
  }

  async function succeeds(flags: readonly string[], given?: Given): Promise<Ended> {
    const ended = await solve(flags, given);
    assert.equal(ended.code, 0, ended.stderr);
    return ended;
  }

  async function names(tar: Buffer): Promise<string[]> {
    const listing = run("tar", ["t"]);
    listing.child.stdin?.end(tar);
    return (await listing).stdout.trim().split("\n");
  }

  describe("puts its outputs", () => {
    const text = "FROM scratch\nCOPY a.txt /x/\n";
    const files = { "a.txt": "hello\n" };

    it("into a folder", async () => {
      await succeeds([...dockerfile(text, files), "--output", `type=local,dest=${at("local")}`]);
      assert.equal(readFileSync(at("local/x/a.txt"), "utf8"), "hello\n");
    });

    it("into a folder that then holds nothing else", async () => {
      mkdirSync(at("exact"));
      writeFileSync(at("exact/old"), "");
      const output = `type=local,mode=delete,dest=${at("exact")}`;
      await succeeds([...dockerfile(text, files), "--output", output]);
      assert.deepEqual(readdirSync(at("exact")), ["x"]);
    });

    it("into files and standard output at once", async () => {
      const { stdout } = await succeeds([
        ...dockerfile(text, files),
        ...["--output", `type=oci,dest=${at("image.tar")}`, "--output", "type=tar,dest=-"],
      ]);
      assert.ok((await names(stdout)).includes("x/a.txt"));
      assert.ok((await names(readFileSync(at("image.tar")))).includes("index.json"));
    });

    it("into an OCI layout, which another build reads", async () => {
      const layout = at("layout");
      await succeeds([...dockerfile(text, files), "-o", `type=oci,tar=false,dest=${layout}`]);
      const index = JSON.parse(readFileSync(path.join(layout, "index.json"), "utf8")) as {
        manifests: { digest: string }[];
      };
      const digest = index.manifests[0]?.digest ?? "";
      await succeeds([
        ...dockerfile("FROM base\n"),
        ...["--oci-layout", `mine=${layout}`, "--opt", `context:base=oci-layout://mine@${digest}`],
        ...["--output", `type=local,dest=${at("again")}`],
      ]);
      assert.equal(readFileSync(at("again/x/a.txt"), "utf8"), "hello\n");
    });

    it("into a registry, with the logins of docker's config", async () => {
      const folder = at("docker");
      mkdirSync(folder);
      const auth = Buffer.from("me:right").toString("base64");
      const config = JSON.stringify({ auths: { [closed.host]: { auth } } });
      writeFileSync(path.join(folder, "config.json"), config);
      const flags = [
        ...dockerfile(text, files),
        ...["--output", `type=image,"name=${closed.host}/app:1,${closed.host}/app:2",push=true`],
      ];
      await succeeds(flags, { env: { DOCKER_CONFIG: folder } });
      const refused = await solve(flags);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^error: .*(auth|login|denied|credentials)/im);
    });
  });

  describe("writes", () => {
    it("metadata as buildctl does", async () => {
      const flags = [
        ...dockerfile("FROM busybox\nRUN true\n"),
        ...["--opt", "build-arg:SOURCE_DATE_EPOCH=0"],
        ...["--output", "type=image,name=example.test/x:1"],
      ];
      const [ours, theirs] = [at("ours.json"), at("theirs.json")];
      await succeeds([...flags, "--metadata-file", ours]);
      await daemon.buildctl(["build", ...flags, "--metadata-file", theirs]);
      const [our, their] = [readFileSync(ours, "utf8"), readFileSync(theirs, "utf8")];
      assert.deepEqual(JSON.parse(our), JSON.parse(their));
      assert.equal(our, their);
    });

    it("the ref of the build, also of one that fails, by which the history knows it", async () => {
      const file = at("ref");
      const ended = await solve([...dockerfile("FROM busybox\nRUN false\n"), "--ref-file", file]);
      assert.equal(ended.code, 1);
      const ref = readFileSync(file, "utf8");
      const ask = async (...args: string[]): Promise<Ended> =>
        await kiln(["buildkit", "history", ...args, "--addr", daemon.address]);
      assert.match((await ask("inspect", ref)).stdout.toString(), /State: +error/);
      assert.match((await ask("logs", ref)).stdout.toString(), /RUN false\n[^]*ERROR/);
      assert.equal((await ask("rm", ref)).code, 0);
      assert.equal((await ask("inspect", ref)).code, 2);
    });

    it("the answer of the frontend to a question", async () => {
      const flags = dockerfile("FROM busybox AS one\nFROM busybox AS two\n");
      const { stdout } = await succeeds([...flags, "--opt", "requestid=frontend.targets"]);
      assert.match(stdout.toString(), /^one[^]*^two/m);
    });
  });

  describe("gives steps", () => {
    it("secrets of files and of the environment", async () => {
      writeFileSync(at("secret"), "from a file");
      const text =
        "FROM busybox\nRUN --mount=type=secret,id=a --mount=type=secret,id=b cat /run/secrets/a /run/secrets/b > /out\n";
      const flags = ["--secret", `id=a,src=${at("secret")}`, "--secret", "id=b,env=MINE"];
      const output = ["--output", `type=local,dest=${at("secrets")}`];
      await succeeds([...dockerfile(text), ...flags, ...output], { env: { MINE: ", not" } });
      assert.equal(readFileSync(at("secrets/out"), "utf8"), "from a file, not");
      const without = await solve(
        dockerfile(text.replaceAll("type=secret,", "type=secret,required,")),
      );
      assert.equal(without.code, 1);
    });

    it("SSH keys", async () => {
      const { privateKey } = generateKeyPairSync("ed25519");
      writeFileSync(at("key"), privateKey.export({ type: "pkcs8", format: "pem" }));
      const text = "FROM busybox\nRUN --mount=type=ssh,required test -S $SSH_AUTH_SOCK\n";
      await succeeds([...dockerfile(text), "--ssh", `default=${at("key")}`]);
      assert.equal((await solve(dockerfile(text.replace("test", "test -n x -a")))).code, 1);
    });

    it("the network of the host only when it is allowed", async () => {
      const flags = dockerfile("FROM busybox\nRUN --network=host true\n");
      assert.equal((await solve(flags)).code, 1);
      await succeeds([...flags, "--allow", "network.host"]);
    });

    it("build arguments of the environment", async () => {
      const flags = [
        ...dockerfile("FROM busybox\nARG A=default\nARG B=default\nRUN echo $A $B > /out\n"),
        ...["--opt", "build-arg:A", "--opt", "build-arg:B"],
        ...["--output", `type=local,dest=${at("args")}`],
      ];
      await succeeds(flags, { env: { A: "given" } });
      assert.equal(readFileSync(at("args/out"), "utf8"), "given default\n");
    });
  });

  it("refuses what the source policy denies", async () => {
    const policy = {
      rules: [
        { action: "DENY", selector: { identifier: "docker-image://docker.io/library/busybox:*" } },
      ],
    };
    writeFileSync(at("policy.json"), JSON.stringify(policy));
    const flags = dockerfile("FROM busybox\nRUN echo policy\n");
    const ended = await solve([...flags, "--source-policy-file", at("policy.json")]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /denied|policy/i);
  });

  it("runs steps again with --no-cache only", async () => {
    const flags = dockerfile("FROM busybox\nRUN echo cached > /x\n");
    await succeeds(flags);
    assert.match((await succeeds(flags)).stderr, /CACHED/);
    assert.match(
      (await succeeds([...flags, "--no-cache"])).stderr,
      /RUN echo cached > \/x\n#\d+ DONE/,
    );
  });

  it("keeps a cache in a folder and reads it again", async () => {
    const flags = dockerfile("FROM busybox\nRUN echo kept > /x\n");
    const cache = at("cache");
    const missing = await succeeds([...flags, "--import-cache", `type=local,src=${cache}`]);
    assert.match(missing.stderr, /warning: local cache import at .* skipped/);
    await succeeds([...flags, "--export-cache", `type=local,dest=${cache},mode=max`]);
    assert.ok(existsSync(path.join(cache, "index.json")));
    const prune = await kiln(["buildkit", "prune", "--all", "--addr", daemon.address]);
    assert.equal(prune.code, 0, prune.stderr);
    const again = await succeeds([
      ...[...flags, "--import-cache", `type=local,src=${cache}`],
      ...["--output", `type=local,dest=${at("kept")}`],
    ]);
    assert.match(again.stderr, /RUN echo kept > \/x\n(?:#\d+ .*\n)*?#\d+ CACHED/);
    assert.equal(readFileSync(at("kept/x"), "utf8"), "kept\n");
  });

  it("builds LLB from standard input", async () => {
    const stdin = imageDefinition("docker-image://docker.io/library/busybox:latest");
    for (const more of [[], ["--no-cache"]]) {
      const output = ["--output", `type=local,dest=${at(`llb${more.length}`)}`];
      await succeeds([...output, ...more], { stdin });
      assert.ok(existsSync(at(`llb${more.length}/bin/busybox`)));
    }
    const nothing = await solve([]);
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /--frontend/);
  });

  it("shows progress as lines of JSON that add up to what happened", async () => {
    const flags = dockerfile("FROM busybox\nRUN echo once; echo twice\n");
    const { stderr } = await succeeds([...flags, "--progress", "rawjson", "--no-cache"]);
    const lines = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { logs?: { data: string }[] });
    const output = lines.flatMap(({ logs = [] }) =>
      logs.map(({ data }) => Buffer.from(data, "base64")),
    );
    assert.equal(Buffer.concat(output).toString(), "once\ntwice\n");
    assert.equal((await succeeds([...flags, "--progress", "quiet"])).stderr, "");
  });

  it("tells where in the Dockerfile it failed, and how", async () => {
    const flags = dockerfile("FROM busybox\nRUN echo before the end; exit 7\n");
    const ours = await solve(flags);
    assert.equal(ours.code, 1);
    const theirs = await daemon.buildctl(["build", ...flags]).then(
      () => "",
      (error: unknown) => String(error),
    );
    const excerpt = /^Dockerfile:2\n-+\n[^]*?-+\n/m;
    assert.equal(excerpt.exec(ours.stderr)?.[0], excerpt.exec(theirs)?.[0] ?? "");
    assert.match(ours.stderr, / > \[2\/2\] RUN [^]*before the end\n------\n/);
    assert.match(ours.stderr, /^error: Step .* failed with exit code 7/m);
  });

  it("ends with code 2 for a flag that makes no sense, before it dials", async () => {
    for (const flags of [
      ["--output", "type=local"],
      ["--local", "context=/nowhere"],
      ["--addr", "ftp://x"], // InvalidEndpoint
      ["--progress", "tty"],
    ]) {
      const ended = await kiln(["solve", "--frontend", "dockerfile.v0", ...flags]);
      assert.equal(ended.code, 2, `${flags.join(" ")}: ${ended.stderr}`);
    }
  });

  it("ends with code 1 when nobody answers", async () => {
    const addr = `unix://${at("nobody.sock")}`;
    const ended = await kiln(["solve", "--addr", addr, ...dockerfile("FROM busybox\n")]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /^error: /m);
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    it(`stops the build on the daemon at ${signal} and ends with ${code}`, async () => {
      const file = at(`ref-${signal}`);
      const flags = [...dockerfile("FROM busybox\nRUN echo begun; sleep 300\n"), "--no-cache"];
      const args = ["solve", "--addr", daemon.address, ...flags, "--ref-file", file];
      const running = start(args);
      await running.printed(" begun\n");
      running.child.kill(signal);
      const ended = await running.ended;
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, /CANCELED/);
      const ref = readFileSync(file, "utf8");
      const asked = ["buildkit", "history", "inspect", ref, "--json", "--addr", daemon.address];
      const record = JSON.parse((await kiln(asked)).stdout.toString()) as { state: string };
      assert.equal(record.state, "canceled");
    });
  }

  it("is ended by a second signal, whatever hangs", async () => {
    const signals = path.join(repositoryRoot, "src/cli/signals.ts");
    const script = `const { interrupts } = await import(${JSON.stringify(signals)});
      interrupts().signal.addEventListener("abort", () => console.log("first"));
      setInterval(() => {}, 1000);
      console.log("ready");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
    child.stdout.setEncoding("utf8").on("data", () => child.kill("SIGINT"));
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 130);
  });

  it("reaches a daemon over TLS with a client certificate", async () => {
    const secured = await buildkitd({ tls: true });
    try {
      const { ca = "", cert = "", key = "" } = secured.tls ?? {};
      for (const [name, file] of Object.entries({ ca, cert, key }))
        copyFileSync(file, at(`${name}.pem`));
      const flags = ["--addr", secured.address, ...dockerfile("FROM scratch\nCOPY Dockerfile /\n")];
      for (const trust of [
        ["--tlsdir", place.folder],
        ["--tlscacert", ca, "--tlscert", cert, "--tlskey", key],
      ]) {
        const ended = await kiln(["solve", ...flags, ...trust]);
        assert.equal(ended.code, 0, ended.stderr);
      }
      for (const trust of [
        ["--tlscacert", ca],
        ["--tlsdir", place.folder, "--tlsservername", "other.example"],
      ])
        assert.equal((await kiln(["solve", ...flags, ...trust])).code, 1);
    } finally {
      await secured.stop();
    }
  });

  it("sends of a folder only what changed since the last time", async () => {
    const flags = dockerfile("FROM scratch\nCOPY big /\n", { big: "x".repeat(3_000_000) });
    const sent = (stderr: string): string | undefined =>
      /load build context\n[^]*transferring context: (\S+)(?: \d\S*)? done/.exec(stderr)?.[1];
    assert.equal(sent((await succeeds(flags)).stderr), "3.00MB");
    assert.match(sent((await succeeds([...flags, "--no-cache"])).stderr) ?? "", /^\d+B$/);
  });
});
