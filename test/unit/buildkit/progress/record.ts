// Records what real builds report, and how BuildKit's own display shows it: `node test/unit/buildkit/progress/record.ts`.
// Run it again when BuildKit's version changes. Needs what test/cluster needs: root, Go.
import { execFile, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import {
  binary,
  buildkitd,
  type Buildkitd,
  buildctlPath,
  scratch,
} from "../../../cluster/index.ts";
import { picturesOf } from "./frames.ts";
import { terminalSizes } from "./recordings.ts";

const run = promisify(execFile);

interface Build {
  readonly name: string;
  readonly dockerfile: string;
  readonly output?: string;
  readonly files?: Readonly<Record<string, string>>;
}

const steps = `FROM busybox AS base
COPY . /src/
RUN echo one; echo two >&2; sleep 0.2; echo three
RUN printf half; sleep 0.3; printf ' a line\\n'; printf 'no end'
FROM base
WORKDIR /w
RUN for i in $(seq 1 15); do echo "line $i"; sleep 0.05; done
`;

const builds: readonly Build[] = [
  { name: "steps", dockerfile: steps, files: { "a.txt": "a", "b.txt": "b".repeat(100_000) } },
  { name: "cached", dockerfile: steps, files: { "a.txt": "a", "b.txt": "b".repeat(100_000) } },
  { name: "warnings", dockerfile: "FROM busybox\nMAINTAINER nobody\nENV A 1\nRUN sleep 0.2\n" },
  {
    name: "failure",
    dockerfile: `FROM busybox
RUN for i in $(seq 1 14); do echo "before the end $i"; done; echo 'no such thing' >&2; exit 3
`,
  },
  {
    name: "parallel",
    dockerfile: `FROM busybox AS one
RUN for i in $(seq 1 20); do echo "one $i"; sleep 0.1; done
FROM busybox AS two
RUN for i in $(seq 1 10); do echo "two $i"; sleep 0.15; done; false
FROM busybox
COPY --from=one /etc/passwd /1
COPY --from=two /etc/passwd /2
`,
  },
  {
    name: "terminal",
    dockerfile: `FROM busybox
RUN i=0; while [ $i -lt 20 ]; do printf '\\rloading %s%%' $((i * 5)); i=$((i + 1)); sleep 0.05; done; printf '\\rdone         \\n'
RUN printf '\\033[31mred\\033[0m and \\033[1mbold\\033[0m\\n'; sleep 0.1; printf 'gr\\303\\274n'; sleep 0.1; printf ' \\342\\202\\254\\n'; sleep 0.1
RUN seq -s ' ' 1 400; sleep 0.2; printf 'up\\033[Adown\\033[K\\tx\\bY\\n'; sleep 0.1; for i in $(seq 1 12); do echo row $i; done; sleep 0.2
`,
  },
  {
    name: "groups",
    dockerfile: `FROM busybox
COPY --link a.txt b.txt /x/
COPY <<one <<two /y/
1
one
2
two
ADD --link --chmod=600 a.txt /z
`,
    files: { "a.txt": "a", "b.txt": "b" },
  },
  {
    name: "export",
    dockerfile: `FROM busybox\nRUN head -c 30000000 /dev/urandom > /big\n`,
    output: "type=oci,dest=%FOLDER%/out.tar",
  },
];

function rawJson(
  daemon: Buildkitd,
  build: Build,
  folder: string,
  buildctl: string,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "Dockerfile"), build.dockerfile);
  for (const [name, text] of Object.entries(build.files ?? {}))
    writeFileSync(path.join(folder, name), text);
  const args = [
    ...["--addr", daemon.address, "build", "--frontend", "dockerfile.v0", "--progress", "rawjson"],
    ...["--local", `context=${folder}`, "--local", `dockerfile=${folder}`],
    ...(build.output === undefined ? [] : ["--output", build.output.replace("%FOLDER%", folder)]),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(buildctl, args, { stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    child.on("error", reject);
    child.on("close", () => {
      const lines = text.split("\n").filter((line) => line.startsWith('{"'));
      resolve(`${lines.join("\n")}\n`);
    });
  });
}

async function shown(
  progressui: string,
  args: readonly string[],
  recording: string,
): Promise<string> {
  const running = run(progressui, args, { maxBuffer: 64 << 20 });
  running.child.stdin?.end(recording);
  return (await running).stdout;
}

async function record(): Promise<void> {
  const progressui = await binary("progressui");
  const buildctl = await buildctlPath();
  const place = scratch("record");
  const daemon = await buildkitd();
  const target = path.join(import.meta.dirname, "recordings");
  try {
    for (const build of builds) {
      const contents = build.name === "cached" ? "steps" : build.name;
      const text = await rawJson(daemon, build, path.join(place.folder, contents), buildctl);
      writeFileSync(path.join(target, `${build.name}.jsonl`), text);
      writeFileSync(
        path.join(target, `${build.name}.plain.txt`),
        await shown(progressui, ["plain"], text),
      );
      for (const { width, height } of terminalSizes) {
        const written = await shown(progressui, ["tty", `${width}`, `${height}`], text);
        const name = `${build.name}.${width}x${height}.txt`;
        writeFileSync(path.join(target, name), picturesOf(written));
      }
    }
  } finally {
    await daemon.stop();
    place.remove();
  }
}

await record();
