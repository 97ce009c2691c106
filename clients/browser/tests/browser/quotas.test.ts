import type { Route } from "playwright-core";
import { expect, inject, test } from "vitest";
import { HOTEL, USER } from "./support/known.js";
import { nextOutcomes, useScene } from "./support/scene.js";

const { app } = inject("places");
const scene = useScene();

const meter = (label: string) => `[role=meter][aria-label="${label}"]`;
const EXPORTS = meter("Report exports");

test("the meter follows every export, and turns at 80 %", async () => {
  const { page, service } = scene;
  await service.limit({ exports: 5 });
  await service.exports(2);
  await page.goto(app);
  const colour = () =>
    page.$eval(`${EXPORTS} .track span`, (bar) => getComputedStyle(bar).backgroundColor);

  await page.waitForSelector(`${EXPORTS} >> text=2 of 5`);
  const calm = await colour();
  await page.click("text=Export report");
  await page.waitForSelector(`${EXPORTS} >> text=3 of 5`);
  expect(await colour()).toBe(calm);

  await page.click("text=Export report");
  await page.waitForSelector(`${EXPORTS}[data-state=near] >> text=4 of 5`);
  const near = await colour();
  expect(near).not.toBe(calm);

  await page.click("text=Export report");
  await page.waitForSelector(`${EXPORTS}[data-state=exceeded] >> text=5 of 5`);
  expect([calm, near]).not.toContain(await colour());
});

test("an export over the limit shows the modal, and is logged as blocked once", async () => {
  const { page, service } = scene;
  await service.limit({ exports: 1 });
  await service.exports(1);
  await page.goto(app);
  const refused = async () => {
    await page.click("text=Export report");
    await page.waitForSelector("dialog >> text=You have used all 1 exports");
  };

  const [paywall] = await Promise.all([nextOutcomes(page), refused()]);
  expect(paywall).toContain("recorded");
  await page.click("dialog >> text=Not now");
  await page.waitForSelector("dialog", { state: "detached" });
  await refused();

  const { quotas } = await service.plg.getUsage({ hotelId: (await service.events())[0]!.hotel_id });
  expect(quotas.exports.used).toBe(1);
  const [blocked, ...more] = await service.events("export_blocked");
  const [seen] = await service.events("dashboard_view_session");
  expect(more).toEqual([]);
  expect(blocked!.session_id).toBe(seen!.session_id);

  const [click] = await Promise.all([nextOutcomes(page), page.click("dialog >> text=See plans")]);
  expect(click).toContain("recorded");
  await page.waitForSelector("h1 >> text=Plans");
  expect(await service.events("upgrade_click")).toMatchObject([
    { event_data: { quota: "exports" } },
  ]);
  expect(await service.events("paywall_view")).toHaveLength(1);
});

test("an export whose answer was lost counts once when it is tried again", async () => {
  const { page } = scene;
  const lose = async (route: Route) => {
    await route.fetch();
    await route.fulfill({ status: 503, json: {} });
  };
  await page.route("**/api/exports", lose, { times: 1 });
  await page.goto(app);
  await page.click("text=Export report");
  await page.waitForSelector("text=Please try again");
  // What most people do then.
  await page.reload();
  await page.waitForSelector(`${EXPORTS} >> text=1 of 30`);
  await page.click("text=Export report");
  await page.waitForSelector("text=Report exported");
  await page.waitForSelector(`${EXPORTS} >> text=1 of 30`);
  await page.click("text=Export report");
  await page.waitForSelector(`${EXPORTS} >> text=2 of 30`);
});

test("while an action is under way it is not begun again, whatever else is", async () => {
  const { page } = scene;
  const held: Route[] = [];
  await page.route(/\/api\/(im|ex)ports$/, (route) => void held.push(route));
  await page.goto(app);
  const button = (name: string) => page.getByRole("button", { name });
  const click = async (name: string) => {
    await Promise.all([page.waitForRequest(/\/api\/(im|ex)ports$/), button(name).click()]);
  };
  await click("Import bookings");
  await click("Export report");
  expect(await button("Import bookings").isDisabled()).toBe(true);
  expect(await button("Export report").isDisabled()).toBe(true);
  for (const route of held) await route.continue();
  await page.waitForSelector(`${EXPORTS} >> text=1 of 30`);
  await page.waitForSelector("button:enabled >> text=Import bookings");
  await page.waitForSelector("button:enabled >> text=Export report");
});

test("what was counted by a try that failed is done by the next", async () => {
  const { page, service } = scene;
  const who = { hotelId: HOTEL, userId: USER };
  await service.plg.recordExport({ ...who, exportId: "counted-export" });
  await service.plg.recordImport({ ...who, jobId: "counted-import" });
  const ask = async (kind: string, id: string) =>
    (await page.request.post(`${app}/api/${kind}`, { data: { id } })).json();
  expect(await ask("exports", "counted-export")).toMatchObject({ report: "report counted-export" });
  expect(await ask("imports", "counted-import")).toMatchObject({
    imported: "bookings of counted-import",
  });
  const { quotas } = await service.plg.getUsage({ hotelId: HOTEL });
  expect([quotas.imports.used, quotas.exports.used]).toEqual([1, 1]);
});

test("the meter follows an upgrade when the page is online again", async () => {
  const { page, context, service } = scene;
  await page.goto(app);
  await page.waitForSelector(`${EXPORTS} >> text=0 of 30`);
  await service.limit({ exports: 31 });
  await context.setOffline(true);
  await context.setOffline(false);
  await page.waitForSelector(`${EXPORTS} >> text=0 of 31`);
});

test("imports are counted and refused likewise", async () => {
  const { page } = scene;
  await page.goto(app);
  for (const used of [1, 2, 3]) {
    await page.click("text=Import bookings");
    await page.waitForSelector(`${meter("Booking imports")} >> text=${used} of 3`);
  }
  await page.click("text=Import bookings");
  await page.waitForSelector("dialog >> text=You have used all 3 imports");
});
