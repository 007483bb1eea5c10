// The agent's certificate, as the files of a mounted Secret. Read again and again: a renewed one is used for the next
// connection, without a restart.

import { readFile, realpath } from "node:fs/promises";
import path from "node:path";
import { createSecureContext } from "node:tls";
import type { Logger } from "pino";

/** What a TLS server is made of, PEM. */
export interface ServerTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly minVersion: "TLSv1.3";
}

/** What a `TlsFiles` is made of. */
export interface TlsFilesOptions {
  /** Holds ca.crt, tls.crt and tls.key. */
  readonly folder: string;
  readonly log: Logger;
  /** Called with every new set of files that belong together. */
  onChange(tls: ServerTls): void;
  /** How often the files are looked at, in milliseconds. Default 5,000. */
  readonly everyMs?: number;
}

/** Reads the files once. Throws when they are not there, or are no certificate with its own key. */
export async function readTlsFiles(folder: string): Promise<ServerTls> {
  // The kubelet swaps the link `..data` when a Secret changes: through it, all three are of one version.
  const place = await realpath(path.join(folder, "..data")).catch(() => folder);
  const [ca, cert, key] = await Promise.all(
    ["ca.crt", "tls.crt", "tls.key"].map((name) => readFile(path.join(place, name), "utf8")),
  );
  const tls = { ca: ca ?? "", cert: cert ?? "", key: key ?? "", minVersion: "TLSv1.3" } as const;
  createSecureContext(tls);
  return tls;
}

/** Watches the files from `start` to `stop`. */
export class TlsFiles {
  readonly #o: TlsFilesOptions;
  #known = "";
  #timer: NodeJS.Timeout | undefined;

  constructor(o: TlsFilesOptions) {
    this.#o = o;
  }

  /** The first look. Rejects as `readTlsFiles`. */
  async start(): Promise<ServerTls> {
    const tls = await readTlsFiles(this.#o.folder);
    this.#known = textOf(tls);
    this.#timer = setInterval(() => void this.#look(), this.#o.everyMs ?? 5_000);
    this.#timer.unref();
    return tls;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    try {
      const tls = await readTlsFiles(this.#o.folder);
      if (textOf(tls) === this.#known) return;
      this.#o.onChange(tls);
      this.#known = textOf(tls);
      this.#o.log.info("the certificate was renewed");
    } catch (error) {
      // Half-written files, or a Secret that is no good: what is in use stays.
      this.#o.log.warn({ err: error }, "the certificate's files can't be used");
    }
  }
}

function textOf({ ca, cert, key }: ServerTls): string {
  return [ca, cert, key].join("\n");
}
