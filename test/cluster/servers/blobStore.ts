// How is a real Azure Blob Storage server (Azurite) started for a test?
import { randomBytes } from "node:crypto";
import path from "node:path";
import { npmPackage } from "../base/npm.ts";
import { answersHttp } from "../base/http.ts";
import { freePort } from "../base/ports.ts";
import { start, waitFor } from "../base/process.ts";
import { scratch } from "../base/scratch.ts";

const readyMs = 60_000;

/** A running blob server. */
export interface BlobStore {
  /** Address of its one account. */
  readonly accountUrl: string;
  readonly account: string;
  /** The account's key, in base64. */
  readonly key: string;
  stop(): Promise<void>;
}

/** A blob server with its data in a temporary folder. It dies with the test's process. */
export async function blobStore(account = "kilntest"): Promise<BlobStore> {
  const place = scratch("azurite");
  const port = await freePort("127.0.0.1");
  const key = randomBytes(32).toString("base64");
  const accountUrl = `http://127.0.0.1:${port}/${account}`;
  try {
    const program = path.join(await npmPackage("azurite"), "azurite/dist/src/blob/main.js");
    const server = await start({
      name: "azurite",
      folder: place.folder,
      env: { AZURITE_ACCOUNTS: `${account}:${key}` },
      command: [
        process.execPath,
        program,
        "--blobHost=127.0.0.1",
        `--blobPort=${port}`,
        `--location=${path.join(place.folder, "data")}`,
        "--disableTelemetry",
        "--disableProductStyleUrl",
        "--skipApiVersionCheck",
        "--silent",
      ],
    });
    await waitFor("answering blob server", () => answersHttp(accountUrl), {
      deadlineMs: readyMs,
      processes: [server],
    });
    const stop = () => server.stop().finally(() => place.remove());
    return { accountUrl, account, key, stop };
  } catch (error) {
    place.remove();
    throw error;
  }
}
