import type { Page } from "playwright-core";
import { describe, expect, inject, test } from "vitest";
import { nextOutcomes, useScene } from "./support/scene.js";
import { startDevelopmentApp } from "./support/development-app.js";

const { app, appFolder } = inject("places");
const scene = useScene();

/** Opens the dashboard, and tells what became of its view. */
async function view(page: Page, url = app): Promise<string[]> {
  const [outcomes] = await Promise.all([nextOutcomes(page), page.goto(url)]);
  return outcomes;
}

test("a dashboard view is recorded once, however often the page is loaded again", async () => {
  const { page, service } = scene;
  expect(await view(page)).toEqual(["recorded"]);
  for (let n = 0; n < 3; n++) expect(await view(page)).toEqual(["suppressed_session"]);
  expect(await service.events()).toHaveLength(1);
});

test("another tab is another session", async () => {
  const { page, service, context } = scene;
  await view(page);
  expect(await view(await context.newPage())).toEqual(["recorded"]);
  const sessions = (await service.events("dashboard_view_session")).map((e) => e.session_id);
  expect(new Set(sessions).size).toBe(2);
});

test("a visit to the pricing tab is recorded as one, in the same session", async () => {
  const { page, service } = scene;
  await view(page);
  const [outcomes] = await Promise.all([nextOutcomes(page), page.click("text=Pricing")]);
  expect(outcomes).toEqual(["recorded"]);
  const events = await service.events();
  expect(events.map((event) => event.event_type)).toEqual([
    "pricing_tab_session_view",
    "dashboard_view_session",
  ]);
  expect(events[0]!.session_id).toBe(events[1]!.session_id);
});

test("half an hour later a view is recorded again, and the expired token renewed", async () => {
  const { page, service } = scene;
  const go = async (tab: string) => {
    const [outcomes] = await Promise.all([nextOutcomes(page), page.click(`text=${tab}`)]);
    return outcomes;
  };
  await view(page);
  await go("Pricing");
  const answers: [status: number, path: string][] = [];
  page.on("response", (response) =>
    answers.push([response.status(), new URL(response.url()).pathname]),
  );
  await service.clock(29);
  expect(await go("Dashboard")).toEqual(["suppressed_session"]);
  await go("Pricing");
  await service.clock(30);
  expect(await go("Dashboard")).toEqual(["recorded"]);
  expect(await service.events("dashboard_view_session")).toHaveLength(2);

  const renewals = answers.filter(([, path]) => path === "/api/plg-token");
  expect(answers.filter(([status]) => status === 401).length).toBeGreaterThan(0);
  expect(renewals).toEqual([[200, "/api/plg-token"]]);
});

test("a visit sends three requests: the token, the view, the usage", async () => {
  const { page } = scene;
  const sent: string[] = [];
  page.on("request", (request) => {
    const path = new URL(request.url()).pathname;
    if (/^\/(api|plg)\//.test(path)) sent.push(path.replace(/[0-9a-f-]{36}/, "…"));
  });
  await Promise.all([nextOutcomes(page), page.goto(app)]);
  await page.waitForSelector("text=0 of 30");
  await page.waitForLoadState("networkidle");
  expect(sent.sort()).toEqual(["/api/plg-token", "/plg/v1/events", "/plg/v1/hotels/…/usage"]);
});

describe("in development, where StrictMode runs every effect twice", () => {
  test("a view is one request, recorded once", async () => {
    const development = await startDevelopmentApp(appFolder);
    try {
      const { page, service } = scene;
      let requests = 0;
      page.on("request", (request) => {
        if (request.url().endsWith("/v1/events")) requests++;
      });
      expect(await view(page, development.url)).toEqual(["recorded"]);
      await page.waitForSelector("text=0 of 30");
      expect(requests).toBe(1);
      expect(await service.events()).toHaveLength(1);
    } finally {
      await development.stop();
    }
  });
});
