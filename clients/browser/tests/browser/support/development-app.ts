import { inject } from "vitest";
import { freePort, start } from "./processes.js";
import { NEXT, appEnvironment } from "./setup.js";

/** An app as its developers see it: the page under StrictMode, and nothing built. */
export async function startDevelopmentApp(
  cwd: string,
): Promise<{ url: string; stop(): Promise<void> }> {
  const { api } = inject("places");
  const port = await freePort();
  const serve = [NEXT, "dev", "-H", "127.0.0.1", "-p", `${port}`];
  const options = { cwd, env: appEnvironment(api) };
  const app = await start(process.execPath, serve, /Ready in/, options);
  return { url: `http://127.0.0.1:${port}`, stop: app.stop };
}
