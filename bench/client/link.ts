// A way to the daemon that is slow or unreliable, in a process of its own so that it costs the clients no CPU.
// Run by itself it is that process:  node link.ts SOCKET DELAY_MS
import { fork } from "node:child_process";
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

/** Bytes on their way in one direction: more are not read from the sender. Well above any window. */
const mostOnTheWay = 256 * 1024 * 1024;

/** A link from a TCP port to a unix socket. */
export interface Link {
  readonly endpoint: string;
  /** Resets one connection, chosen at random; false when there is none. */
  cut(): Promise<boolean>;
  /** Connections of clients that are open now. */
  connections(): Promise<number>;
  stop(): Promise<void>;
}

interface Answer {
  readonly port?: number;
  readonly cut?: boolean;
  readonly connections?: number;
}

/** Starts one that holds every byte for so many milliseconds, whatever their number. */
export async function link(socket: string, delayMs: number): Promise<Link> {
  const child = fork(import.meta.filename, [socket, String(delayMs)]);
  // Answers come in the order of the questions.
  const waiting: ((answer: Answer) => void)[] = [];
  child.on("message", (answer: Answer) => waiting.shift()?.(answer));
  const next = (): Promise<Answer> =>
    new Promise((resolve, reject) => {
      waiting.push(resolve);
      child.once("exit", (code) => reject(new Error(`the link exited: ${code}`)));
    });
  child.setMaxListeners(0);
  const ask = (question: "cut" | "connections"): Promise<Answer> => {
    const answer = next();
    child.send(question);
    return answer;
  };
  const { port } = await next();
  return {
    endpoint: `tcp://127.0.0.1:${port}`,
    cut: async () => (await ask("cut")).cut ?? false,
    connections: async () => (await ask("connections")).connections ?? 0,
    async stop() {
      const over = new Promise((resolve) => child.once("exit", resolve));
      child.disconnect();
      await over;
    },
  };
}

/** Hands on what comes in, each chunk when its time has come. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  const waiting: { due: number; chunk: Buffer | undefined }[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const pump = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let head = waiting[0]; head !== undefined && head.due <= now; head = waiting[0]) {
      waiting.shift();
      if (head.chunk === undefined) to.end();
      else {
        bytes -= head.chunk.length;
        to.write(head.chunk);
      }
    }
    if (bytes + to.writableLength < mostOnTheWay) from.resume();
    if (waiting[0] !== undefined) timer = setTimeout(pump, Math.max(0, waiting[0].due - now));
  };
  const add = (chunk: Buffer | undefined): void => {
    waiting.push({ due: performance.now() + delayMs, chunk });
    bytes += chunk?.length ?? 0;
    if (bytes + to.writableLength >= mostOnTheWay) from.pause();
    timer ??= setTimeout(pump, delayMs);
  };
  from.on("data", add);
  from.on("end", () => add(undefined));
  to.on("drain", () => {
    if (bytes + to.writableLength < mostOnTheWay) from.resume();
  });
  from.once("close", () => {
    if (from.destroyed && !from.readableEnded) to.destroy();
  });
}

function serve(path: string, delayMs: number): void {
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = createConnection({ path, allowHalfOpen: true });
    clients.add(near);
    near.once("close", () => clients.delete(near));
    for (const socket of [near, far]) socket.on("error", () => socket.destroy());
    carry(near, far, delayMs);
    carry(far, near, delayMs);
  });
  server.listen(0, "127.0.0.1", () =>
    process.send?.({ port: (server.address() as AddressInfo).port }),
  );
  process.on("message", (question: "cut" | "connections") => {
    if (question === "connections") {
      process.send?.({ connections: clients.size });
      return;
    }
    const chosen = [...clients][Math.floor(Math.random() * clients.size)];
    chosen?.resetAndDestroy();
    process.send?.({ cut: chosen !== undefined });
  });
  process.on("disconnect", () => process.exit());
}

const [, program, socket, delay] = process.argv;
if (program === import.meta.filename && socket !== undefined) serve(socket, Number(delay));
