// Measures the time from `npm install` to the first recorded event: an empty folder, the files of
// the README's guide, a service with an empty database, and a browser.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { writeGuide } from "./guide.mjs";

const PACKAGES = ["next@16.4.5", "react", "react-dom", "typescript@5.9.3", "@types/react"];
const own = fileURLToPath(new URL("..", import.meta.url));
const binary = process.env.PLG_INGEST_API ?? join(own, "../../target/debug/ingest-api");
const folder = await mkdtemp(join(tmpdir(), "first-event-"));

/** Starts a program, and waits for what it says when it is ready. */
async function start(
  /** @type {string} */ command,
  /** @type {string[]} */ args,
  /** @type {RegExp} */ ready,
) {
  const env = { ...process.env, PLG__SERVER__PORT: "0", NEXT_TELEMETRY_DISABLED: "1" };
  const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  for (;;) {
    output += (await once(child.stdout, "data"))[0];
    const match = output.match(ready);
    if (match) return { child, found: match[1] };
  }
}

const service = await start(binary, [], /listening on (\S+)/);
const key = await readFile(join(folder, "data/plg.db.key"), "utf8");
await writeGuide(folder);
await writeFile(join(folder, "package.json"), '{ "private": true }');
await writeFile(join(folder, ".env.local"), `PLG_URL=${service.found}\nPLG_SERVICE_KEY=${key}`);
const npm = (/** @type {string[]} */ ...args) =>
  execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] }).toString();
const [packed] = JSON.parse(npm("pack", own, "--json", "--silent"));

const begin = performance.now();
const tell = (/** @type {string} */ what) =>
  console.log(`${((performance.now() - begin) / 1000).toFixed(1)} s  ${what}`);

npm("install", "--silent", packed.filename, ...PACKAGES);
tell("installed");
const next = join(folder, "node_modules/next/dist/bin/next");
const app = await start(process.execPath, [next, "dev", "-p", "0"], /Local:\s+(\S+)/);
tell("next dev serves");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium-headless-shell" });
const page = await browser.newPage();
const answer = page.waitForResponse((response) => response.url().endsWith("/v1/events"));
await page.goto(/** @type {string} */ (app.found));
const { results } = await (await answer).json();
tell(`first event: ${results[0].outcome}`);

await browser.close();
for (const { child } of [app, service]) {
  child.kill();
  await once(child, "exit");
}
await rm(folder, { recursive: true });
