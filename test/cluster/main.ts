// The commands of the test cluster: node test/cluster/main.ts up | down | status | build | load.
import { say } from "./base/progress.ts";
import { defaultFolder, down, isUp, loadImage, up } from "./node/cluster.ts";
import { kindDown, kindUp } from "./node/kind.ts";
import { prepare } from "./prepare.ts";

const usage = `usage: node test/cluster/main.ts <command>
  up       start the cluster (with Docker and kind when CLUSTER=kind) and write .kiln/env
  down     end it and remove every trace
  status   say whether it runs; exit code 1 when it does not
  build    build every program and image into the cache, start nothing
  load F   bring an image archive into the cluster
`;

async function main(command: string, argument: string | undefined): Promise<number> {
  const folder = defaultFolder();
  const kind = process.env["CLUSTER"] === "kind";
  switch (command) {
    case "up":
      await (kind ? kindUp(folder) : up(folder));
      say(`ready; source ${folder}/env`);
      return 0;
    case "down":
      await (kind ? kindDown(folder) : down(folder));
      return 0;
    case "status":
      say(isUp(folder) ? `up in ${folder}` : `not running in ${folder}`);
      return isUp(folder) ? 0 : 1;
    case "build":
      await prepare();
      return 0;
    case "load":
      if (argument === undefined) break;
      await loadImage(argument, folder);
      return 0;
    default:
  }
  process.stderr.write(usage);
  return 2;
}

try {
  process.exitCode = await main(process.argv[2] ?? "", process.argv[3]);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
