// The flags by which a command finds its buildkitd. Apart from endpoint.ts, which loads the client.
import type { Command } from "commander";

const defaultAddress = "unix:///run/buildkit/buildkitd.sock";

/** Adds --addr and the TLS flags of buildctl. */
export function addEndpointFlags(command: Command): Command {
  return command
    .option(
      "--addr <address>",
      "buildkitd: tcp://host:port, unix:///path, docker-container://name, kube-pod://pod, ssh://host, docker+unix:///path; $BUILDKIT_HOST sets the default",
      process.env["BUILDKIT_HOST"] ?? defaultAddress,
    )
    .option("--tlscacert <file>", "PEM of the authority of buildkitd's certificate")
    .option("--tlscert <file>", "PEM of the client certificate")
    .option("--tlskey <file>", "PEM of its key")
    .option("--tlsservername <name>", "name in buildkitd's certificate (default: the host dialled)")
    .option(
      "--tlsdir <folder>",
      "folder with ca.pem, cert.pem and key.pem, or ca.crt, tls.crt and tls.key",
    );
}
