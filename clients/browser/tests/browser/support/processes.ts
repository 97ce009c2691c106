import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const START_DEADLINE_MS = 60_000;

export interface Running {
  /** The part of its output that showed that it is ready. */
  ready: RegExpMatchArray;
  stop(): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Starts a program, and waits until its output says that it is ready. */
export async function start(
  command: string,
  args: string[],
  isReady: RegExp,
  options: SpawnOptions = {},
): Promise<Running> {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const ready = await new Promise<RegExpMatchArray>((resolve, reject) => {
    const fail = (why: string) =>
      reject(new Error(`${command} ${args.join(" ")} ${why}:\n${output}`));
    const deadline = setTimeout(() => {
      child.kill("SIGKILL");
      fail("is not ready");
    }, START_DEADLINE_MS);
    const read = (chunk: Buffer) => {
      output += chunk;
      const match = output.match(isReady);
      if (!match) return;
      clearTimeout(deadline);
      resolve(match);
    };
    child.stdout!.on("data", read);
    child.stderr!.on("data", read);
    child.once("error", (error) => fail(`cannot be started (${error.message})`));
    child.once("exit", (code) => fail(`ended with ${code}`));
  });
  return { ready, stop: () => stop(child), signal: (name) => child.kill(name) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  child.kill("SIGCONT"); // One that a test has paused would never hear of it.
  await exited;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
