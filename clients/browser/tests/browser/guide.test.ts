import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { writeGuide } from "../../scripts/guide.mjs";
import { startDevelopmentApp } from "./support/development-app.js";
import { HOTEL, USER } from "./support/known.js";
import { nextOutcomes, useScene } from "./support/scene.js";

/** Beside the package, so that it finds what is installed. */
const folder = fileURLToPath(new URL("../../.guide", import.meta.url));
const typescript = fileURLToPath(import.meta.resolve("typescript/bin/tsc"));
const scene = useScene();

test("the README's guide works as it is written", async () => {
  const { page, service } = scene;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await writeGuide(folder);
  const app = await startDevelopmentApp(folder);
  try {
    const [outcomes] = await Promise.all([nextOutcomes(page), page.goto(app.url)]);
    expect(outcomes).toEqual(["recorded"]);
    await page.waitForSelector("text=0 of 30 exports");
    expect(await service.events("dashboard_view_session")).toHaveLength(1);
    // As if an earlier try had failed after it was counted.
    await service.plg.recordExport({ hotelId: HOTEL, userId: USER, exportId: "e" });
    const request = { method: "POST", body: JSON.stringify({ exportId: "e" }) };
    const answer = await fetch(`${app.url}/api/exports`, request);
    expect(await answer.json()).toEqual({ report: "report e" });
    // With the tsconfig.json that Next.js has made.
    await promisify(execFile)(process.execPath, [typescript, "--noEmit", "-p", folder]);
  } finally {
    await app.stop();
    await rm(folder, { recursive: true });
  }
});
