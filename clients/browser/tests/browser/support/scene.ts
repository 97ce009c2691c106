/** What a test has: a service of its own, and a browser that forgets everything in between. */
import { type Browser, type BrowserContext, type Page, chromium } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, inject } from "vitest";
import { type Service, startService } from "./service.js";

/** For anything that a page is to show, on a machine that has other things to do. */
const WAIT_MAX_MS = 30_000;

export interface Scene {
  service: Service;
  context: BrowserContext;
  page: Page;
}

export function useScene(): Scene {
  const scene = {} as Scene;
  let browser: Browser;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: inject("places").chromium });
  });
  afterAll(() => browser.close());

  beforeEach(async () => {
    scene.service = await startService();
    scene.context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    scene.context.setDefaultTimeout(WAIT_MAX_MS);
    scene.page = await scene.context.newPage();
  });
  afterEach(async () => {
    await scene.context.close();
    await scene.service.dispose();
  });
  return scene;
}

/** What the service answers to the next events of this page. */
export async function nextOutcomes(page: Page): Promise<string[]> {
  const isDelivered = (response: { url(): string; ok(): boolean }) =>
    response.url().endsWith("/v1/events") && response.ok();
  const response = await page.waitForResponse(isDelivered);
  const { results } = (await response.json()) as { results: { outcome: string }[] };
  return results.map(({ outcome }) => outcome);
}
