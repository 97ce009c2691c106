import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeGuide } from "../../scripts/guide.mjs";
import { startDevelopmentApp } from "./support/development-app.js";
import { HOTEL, USER } from "./support/known.js";
import { nextOutcomes, useScene } from "./support/scene.js";

/** Beside the package, so that it finds what is installed. */
const folder = fileURLToPath(new URL("../../.guide", import.meta.url));
const typescript = fileURLToPath(import.meta.resolve("typescript/bin/tsc"));
const scene = useScene();
let app: Awaited<ReturnType<typeof startDevelopmentApp>>;

/** The guide leaves to its reader where the button stands. */
const BUTTON_PAGE = `"use client";
import { ExportButton } from "../export-button";

export default function Page() {
  return <ExportButton onRefused={() => (document.title = "refused")} />;
}
`;

beforeAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await writeGuide(folder);
  const put = async (path: string, text: string) => {
    await mkdir(`${folder}/app/${path}`, { recursive: true });
    await writeFile(`${folder}/app/${path}/${path === "button" ? "page.tsx" : "route.ts"}`, text);
  };
  await put("button", BUTTON_PAGE);
  // The same route, whose work takes a while, and is seen when it is done again.
  const route = await readFile(`${folder}/app/api/exports/route.ts`, "utf8");
  const slow =
    "await new Promise((done) => setTimeout(done, 300));\n  return `report ${Math.random()}`";
  await put("api/slow-exports", route.replace("return `report ${exportId}`", slow));
  app = await startDevelopmentApp(folder);
});
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

const used = async () => (await scene.service.plg.getUsage({ hotelId: HOTEL })).quotas.exports.used;

test("the README's guide works as it is written", async () => {
  const { page, service } = scene;
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
});

test("what is not known is not told as unlimited", async () => {
  const { page, context, service } = scene;
  await page.route("**/usage", (route) => route.fulfill({ status: 404, json: {} }));
  await page.goto(app.url);
  await page.waitForSelector("text=cannot be read");
  expect(await page.textContent("body")).not.toContain("unlimited");
  await page.unroute("**/usage");
  await service.limit({ exports: null });
  await context.setOffline(true);
  await context.setOffline(false);
  await page.waitForSelector("text=0 of unlimited exports");
});

test("two requests of one export make one report", async () => {
  const request = { method: "POST", body: JSON.stringify({ exportId: "both" }) };
  const ask = async () => (await fetch(`${app.url}/api/slow-exports`, request)).json();
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(first.report).toMatch(/^report 0\.\d+$/);
  expect(second).toEqual(first);
  expect(await used()).toBe(1);
});

test("an export that was counted, and whose answer was lost, is the same after a reload", async () => {
  const { page } = scene;
  await page.route(
    "**/api/exports",
    async (route) => {
      await route.fetch();
      await route.fulfill({ status: 503, json: {} });
    },
    { times: 1 },
  );
  const click = async () => {
    const answer = page.waitForResponse("**/api/exports");
    await page.click("button:enabled >> text=Export report");
    return (await answer).status();
  };
  await page.goto(`${app.url}/button`);
  expect(await click()).toBe(503);
  expect(await used()).toBe(1);
  await page.reload();
  expect(await click()).toBe(200);
  expect(await used()).toBe(1);
  expect(await click()).toBe(200);
  expect(await used()).toBe(2);
});

test("an export that is under way is not begun again", async () => {
  const { page } = scene;
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/exports", async (route) => {
    await released;
    await route.continue();
  });
  await page.goto(`${app.url}/button`);
  const request = page.waitForRequest("**/api/exports");
  await page.click("text=Export report");
  await request;
  expect(await page.isDisabled("text=Export report")).toBe(true);
  release();
  await page.waitForSelector("button:enabled >> text=Export report");
  expect(await used()).toBe(1);
});
