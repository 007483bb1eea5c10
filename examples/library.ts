// BuildKit from Node without Kubernetes: node examples/library.ts unix:///run/buildkit/buildkitd.sock
// Builds a Dockerfile that is held in memory and prints the digest.

import { randomUUID } from "node:crypto";
import { connect, filesync, inMemoryTree, parseEndpoint } from "../src/buildkit/index.ts";

const [address = "unix:///run/buildkit/buildkitd.sock"] = process.argv.slice(2);
const dockerfile = "FROM busybox\nRUN echo hello > /hello\n";
const files = inMemoryTree(new Map([["Dockerfile", { data: dockerfile }]]));
const client = connect(parseEndpoint(address));
try {
  const result = await client.solve(
    {
      ref: randomUUID(),
      frontend: "dockerfile.v0",
      frontendAttrs: {},
      exporters: [{ type: "image", attrs: { name: "example/hello:1" } }],
      cacheImports: [],
      cacheExports: [],
    },
    {
      attachables: [filesync({ dockerfile: files, context: files })],
      onEvent: (event) => {
        if (event.kind === "log") process.stderr.write(event.data);
      },
      signal: AbortSignal.timeout(60_000),
    },
  );
  process.stdout.write(`${result.digest}\n`);
} finally {
  client.close();
}
