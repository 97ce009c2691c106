/** Takes the pictures of the README: `npm run screenshots`. */
import { fileURLToPath } from "node:url";
import { inject, test } from "vitest";
import { useScene } from "./support/scene.js";

const { app } = inject("places");
const scene = useScene();

const picture = (name: string) => ({
  path: fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url)),
});

test("pictures", async () => {
  const { page, service } = scene;
  await page.clock.setFixedTime(new Date("2026-11-24T14:00:00Z"));
  await service.limit({ exports: 10 });
  await service.exports(8);
  await page.goto(app);
  await page.click("text=Import bookings");
  await page.waitForSelector("text=1 of 3");
  await page.waitForTimeout(400); // the meter's transition
  await page.screenshot(picture("dashboard"));

  await service.exports(2);
  await page.click("text=Export report");
  await page.waitForSelector("dialog");
  await page.waitForSelector("text=10 of 10");
  await page.waitForTimeout(400);
  await page.screenshot(picture("upgrade"));

  await page.click("dialog >> text=See plans");
  await page.waitForSelector("text=Your plan");
  await page.mouse.move(0, 0);
  await page.screenshot(picture("pricing"));
});
