/** Builds the example app, and starts it beside a server of plain pages, once for all files. */
import { execFileSync } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { ROOT_KEY } from "./known.js";
import { startPages } from "./pages.js";
import { freePort, start } from "./processes.js";

const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));
const CHROMIUM = ["/usr/bin/chromium-headless-shell"];
const FAKETIME = ["x86_64", "aarch64"].map(
  (machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`,
);

export interface Places {
  /** Where each test starts a service of its own. */
  apiPort: number;
  api: string;
  /** The example app, built. */
  app: string;
  /** Plain pages, of another origin than the service. */
  pages: string;
  binary: string;
  chromium: string;
  faketime: string;
  appFolder: string;
}

declare module "vitest" {
  interface ProvidedContext {
    places: Places;
  }
}

async function find(what: string, candidates: string[], remedy: string): Promise<string> {
  for (const path of candidates) {
    if (
      await access(path, constants.R_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`${what} is not at ${candidates.join(" or ")}: ${remedy}`);
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const own = process.env.PLG_INGEST_API ?? `${ROOT}target/debug/ingest-api`;
  const binary = await find("The service", [own], "run `cargo build`, or set PLG_INGEST_API");
  const chromium = await find("Chromium", CHROMIUM, "apt-get install chromium-headless-shell");
  const faketime = await find("libfaketime", FAKETIME, "apt-get install libfaketime");

  const apiPort = await freePort();
  const appPort = await freePort();
  const api = `http://127.0.0.1:${apiPort}`;
  const appFolder = `${ROOT}examples/next-app`;
  const env = appEnvironment(api);
  execFileSync(process.execPath, [NEXT, "build"], { cwd: appFolder, env, stdio: "pipe" });
  const serve = [NEXT, "start", "-H", "127.0.0.1", "-p", `${appPort}`];
  const app = await start(process.execPath, serve, /Ready in/, { cwd: appFolder, env });
  const pages = await startPages(api);

  project.provide("places", {
    apiPort,
    api,
    app: `http://127.0.0.1:${appPort}`,
    pages: pages.url,
    binary,
    chromium,
    faketime,
    appFolder,
  });
  return async () => {
    await pages.stop();
    await app.stop();
  };
}

/** Next.js without a launcher in between, which would outlive the signal to stop. */
export const NEXT = fileURLToPath(new URL("node_modules/next/dist/bin/next", `file://${ROOT}`));

/** What the app is told about the service. */
export function appEnvironment(api: string): NodeJS.ProcessEnv {
  return { ...process.env, NEXT_TELEMETRY_DISABLED: "1", PLG_URL: api, PLG_SERVICE_KEY: ROOT_KEY };
}
