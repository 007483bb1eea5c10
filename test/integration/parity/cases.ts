// Twenty Dockerfiles that between them use what people's Dockerfiles use. Each is built through a
// BuildRun and through buildctl; the images must be the same to the byte.

/** One Dockerfile, its context and what is asked of it. */
export interface ParityCase {
  readonly name: string;
  readonly dockerfile: string;
  /** Files of the context; a context of files only goes through a ConfigMap and a local directory. */
  readonly files?: Readonly<Record<string, string>>;
  /** Take the context from the test's git server instead of a ConfigMap. */
  readonly git?: { readonly revision: string; readonly subdirectory?: string };
  readonly target?: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly platforms?: readonly string[];
  readonly secrets?: Readonly<Record<string, string>>;
}

/** Places that only the running test knows; `%HTTP%` and `%GIT%` in a Dockerfile stand for them. */
export interface Places {
  readonly http: string;
  readonly git: string;
}

const debian = "FROM debian:bookworm-slim";

/** The cases, each named for what it uses. */
export const parityCases: readonly ParityCase[] = [
  { name: "a single RUN", dockerfile: `${debian}\nRUN echo one > /one\n` },
  {
    name: "several stages and COPY --from",
    dockerfile: `${debian} AS build\nRUN mkdir /out && echo built > /out/app\nFROM scratch\nCOPY --from=build /out/ /\n`,
  },
  {
    name: "a target in the middle",
    dockerfile: `${debian} AS first\nRUN echo first > /f\nFROM first AS second\nRUN echo second > /s\nFROM second\nRUN false\n`,
    target: "second",
  },
  {
    name: "heredocs for RUN and COPY",
    dockerfile: `${debian}\nRUN <<EOT\nset -e\necho a > /a\necho b > /b\nEOT\nCOPY <<"EOF" /etc/app.conf\nkey = $literal\nEOF\n`,
  },
  {
    name: "a cache mount",
    dockerfile: `${debian}\nRUN --mount=type=cache,target=/var/cache/x echo warm > /var/cache/x/f && cp /var/cache/x/f /f\n`,
  },
  {
    name: "a secret mount",
    dockerfile: `${debian}\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length\n`,
    secrets: { token: "not in any layer" },
  },
  {
    name: "ADD from git",
    dockerfile: `${debian}\nADD %GIT%#main /src\n`,
  },
  {
    name: "ADD from http",
    dockerfile: `${debian}\nADD --chmod=644 %HTTP%/file.txt /file.txt\n`,
  },
  {
    name: "COPY --link",
    dockerfile: "FROM busybox\nCOPY --link a.txt /data/\nCOPY --link --chmod=600 b.txt /data/b\n",
    files: { "a.txt": "a\n", "b.txt": "b\n" },
  },
  {
    name: "ARG and ENV in their scopes",
    dockerfile:
      "ARG TAG=bookworm-slim\nFROM debian:${TAG}\nARG WHO=nobody\nENV GREETING=hello-$WHO\nARG TAG\nRUN echo $GREETING $TAG > /greeting\n",
    buildArgs: { WHO: "kiln" },
  },
  {
    name: "a .dockerignore with an exception",
    dockerfile: "FROM busybox\nCOPY . /all/\nRUN ls /all > /list\n",
    files: { ".dockerignore": "*.log\n!keep.log\n", "a.log": "x", "keep.log": "y", "c.txt": "z" },
  },
  {
    name: "ONBUILD triggers between stages",
    dockerfile: "FROM busybox AS parent\nONBUILD RUN echo triggered > /onbuild\nFROM parent\n",
  },
  {
    name: "two platforms",
    dockerfile: "FROM busybox\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n",
    platforms: ["linux/amd64", "linux/arm64"],
  },
  {
    name: "labels, from the Dockerfile and from the request",
    dockerfile: "FROM busybox\nLABEL a=1\n",
    labels: { b: "2", "org.opencontainers.image.title": "x, y" },
  },
  {
    name: "USER, WORKDIR, EXPOSE, VOLUME, STOPSIGNAL and HEALTHCHECK",
    dockerfile:
      'FROM busybox\nWORKDIR /w/x\nUSER 1000:1000\nEXPOSE 80/tcp\nVOLUME /data\nSTOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s CMD true\nENTRYPOINT ["sh"]\nCMD ["-c", "true"]\n',
  },
  {
    name: "a bind mount of another stage",
    dockerfile: `${debian} AS tools\nRUN echo tool > /tool\nFROM busybox\nRUN --mount=type=bind,from=tools,source=/tool,target=/t cat /t > /copy\n`,
  },
  {
    name: "SHELL and an exec form",
    dockerfile: `${debian}\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN echo piped | tee /p\nRUN ["/bin/sh", "-c", "echo exec > /e"]\n`,
  },
  {
    name: "file names with commas and spaces, wildcards and --chown",
    dockerfile: 'FROM busybox\nCOPY ["a, b.txt", "/x/"]\nCOPY --chown=1:2 *.md /docs/\n',
    files: { "a, b.txt": "odd\n", "x.md": "1\n", "y.md": "2\n" },
  },
  {
    name: "a git context with a subdirectory",
    dockerfile: "",
    git: { revision: "main", subdirectory: "app" },
  },
  {
    name: "node on its own image",
    dockerfile: `FROM node:24-slim\nWORKDIR /app\nCOPY package.json index.js ./\nRUN node index.js > out.txt\nCMD ["node", "index.js"]\n`,
    files: { "package.json": '{"type":"module"}\n', "index.js": "console.log(6 * 7);\n" },
  },
];
