// How is a real S3 server (Versity's gateway over a folder) started for a test?
import { mkdirSync } from "node:fs";
import path from "node:path";
import { binary } from "../base/binaries.ts";
import { answersHttp } from "../base/http.ts";
import { freePort } from "../base/ports.ts";
import { start, waitFor } from "../base/process.ts";
import { scratch } from "../base/scratch.ts";

const readyMs = 20_000;

/** A running S3 server. */
export interface ObjectStore {
  /** http://127.0.0.1:port */
  readonly url: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** The folder of a bucket, which is made where it is missing: an object is the file of its name. */
  bucket(name: string): string;
  stop(): Promise<void>;
}

/** An S3 server with its data in a temporary folder. It dies with the test's process. */
export async function objectStore(): Promise<ObjectStore> {
  const place = scratch("s3");
  const data = path.join(place.folder, "data");
  mkdirSync(data, { recursive: true });
  const port = await freePort("127.0.0.1");
  const [accessKey, secretKey, region] = ["KILNTESTACCESSKEY", "kiln/test+secret=key", "test-1"];
  const url = `http://127.0.0.1:${port}`;
  try {
    const login = { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey };
    const server = await start({
      name: "versitygw",
      folder: place.folder,
      env: login,
      command: [
        await binary("versitygw"),
        `--port=127.0.0.1:${port}`,
        `--region=${region}`,
        "posix",
        data,
      ],
    });
    await waitFor("answering S3 server", () => answersHttp(url), {
      deadlineMs: readyMs,
      processes: [server],
    });
    const bucket = (name: string): string => {
      const folder = path.join(data, name);
      mkdirSync(folder, { recursive: true });
      return folder;
    };
    const stop = () => server.stop().finally(() => place.remove());
    return { url, region, accessKey, secretKey, bucket, stop };
  } catch (error) {
    place.remove();
    throw error;
  }
}
