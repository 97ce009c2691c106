import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import type { Client, createClient } from "../../src/index.js";
import { createServerClient } from "../../src/server.js";
import type { BrowserEventType } from "../../src/types.js";
import { HOTEL, ROOT_KEY, USER } from "./support/known.js";
import { useScene } from "./support/scene.js";

const { pages, api } = inject("places");
const scene = useScene();

declare global {
  interface Window {
    plg: Client;
    createClient: typeof createClient;
    getSessionId: () => string;
    view: unknown;
    errors?: string[];
  }
}

/** Opens the page that knows no bundler, and waits for its view. */
async function open(page: Page) {
  await page.goto(pages);
  await page.waitForFunction(() => window.view);
}

const clicks = async () => (await scene.service.events("upgrade_click")).map((event) => event.id);

test("a page without a bundler, of another origin, logs and reads", async () => {
  const { page, service } = scene;
  await open(page);
  expect(await page.evaluate(() => window.view)).toMatchObject({ outcome: "recorded" });
  const usage = await page.evaluate(() => window.plg.getUsage());
  expect(usage.quotas.exports).toMatchObject({ used: 0, limit: 30 });
  expect(new URL(pages).origin).not.toBe(new URL(api).origin);
  const session = await page.evaluate(() => window.getSessionId());
  expect((await service.events())[0]!.session_id).toBe(session);
});

test("a visit from another origin sends two preflights more, and remembers them", async () => {
  const { page, context } = scene;
  const sent: string[] = [];
  const devtools = await context.newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.requestWillBeSent", ({ request: { method, url } }) => {
    const [, path] = url.match(/(\/token|\/events|\/usage)$/) ?? [];
    if (path) sent.push(`${method} ${path}`);
  });
  const visit = async () => {
    sent.length = 0;
    await open(page);
    await page.evaluate(() => window.plg.getUsage());
    return [...sent].sort();
  };
  const own = ["GET /token", "GET /usage", "POST /events"];
  expect(await visit()).toEqual([...own, "OPTIONS /events", "OPTIONS /usage"].sort());
  expect(await visit()).toEqual(own);
});

test("errors arrive with their types across origins", async () => {
  const { page } = scene;
  await open(page);
  const problem = await page.evaluate(() =>
    window.plg.getUsage({ month: "soon" }).catch(({ code, status, problem }) => {
      return { code, status, field: problem.field };
    }),
  );
  expect(problem).toEqual({ code: "invalid_field", status: 422, field: "month" });
});

test("offline, then online: nothing that the page holds is lost, or counted twice", async () => {
  const { page, context, service } = scene;
  await open(page);
  await context.setOffline(true);
  await page.evaluate(async () => {
    for (const id of ["a", "b", "c"]) await window.plg.track("upgrade_click", { id });
  });
  expect(await page.evaluate(() => window.errors)).toEqual(Array(3).fill("unreachable"));
  expect(await clicks()).toEqual([]);
  await Promise.all([page.waitForResponse("**/v1/events"), context.setOffline(false)]);
  expect(await clicks()).toEqual(["c", "b", "a"]);
  expect(await service.events()).toHaveLength(4);
});

test("a service that was away gets what it missed with the next event", async () => {
  const { page, service } = scene;
  await open(page);
  await service.stop();
  await page.evaluate(() => window.plg.track("upgrade_click", { id: "missed" }));
  await service.restart();
  await page.evaluate(() => window.plg.track("upgrade_click", { id: "next" }));
  await expect.poll(clicks).toEqual(["missed", "next"]);
});

test("a browser may send the events of its type, and no others", async () => {
  const own: Record<BrowserEventType, true> = {
    playbook_open: true,
    upgrade_click: true,
    create_hotel_attempt: true,
    paywall_view: true,
    dashboard_view_session: true,
    pricing_tab_session_view: true,
    pricing_quote_run: true,
  };
  const document = await readFile(
    new URL("../../../../docs/openapi.json", import.meta.url),
    "utf8",
  );
  const types: string[] = JSON.parse(document).components.schemas.EventType.enum;
  const { token } = await scene.service.plg.createSessionToken({ hotelId: HOTEL, userId: USER });
  const response = await fetch(`${api}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(
      types.map((event_type) => ({
        event_type,
        hotel_id: HOTEL,
        user_id: USER,
        session_id: "tab-1",
        dedup_key: USER,
      })),
    ),
  });
  const { results } = (await response.json()) as { results: { problem?: { code: string } }[] };
  const permitted = types.filter((_, at) => results[at]!.problem?.code !== "forbidden");
  expect(permitted.sort()).toEqual(Object.keys(own).sort());
});

/** A backend whose first answer is lost, and what happens until it asks again. */
function unlucky(meanwhile = async () => {}) {
  let lost = false;
  return createServerClient({
    baseUrl: api,
    serviceKey: ROOT_KEY,
    fetch: async (...request) => {
      const response = await fetch(...request);
      if (lost) return response;
      lost = true;
      await meanwhile();
      throw new TypeError("the connection was reset");
    },
  });
}

test("a backend whose answer was lost is told that its export is recorded", async () => {
  const plg = unlucky();
  const action = { hotelId: HOTEL, userId: USER, exportId: "e" };
  await expect(plg.recordExport(action)).resolves.toMatchObject({ outcome: "recorded" });
  await expect(plg.recordExport(action)).resolves.toMatchObject({ outcome: "duplicate" });
});

test("a backend whose answer was lost does not take away the seat that was granted meanwhile", async () => {
  const { service } = scene;
  const seat = { hotelId: HOTEL, userId: USER, seatUserId: USER };
  await service.plg.addSeat(seat);
  const plg = unlucky(async () => void (await service.plg.addSeat(seat)));
  await expect(plg.removeSeat(seat)).resolves.toMatchObject({ outcome: "recorded" });
  const { quotas } = await service.plg.getUsage({ hotelId: HOTEL });
  expect(quotas.active_users.used).toBe(1);
});

test("an event is delivered though its page is left in the same moment", async () => {
  const { page, service } = scene;
  await open(page);
  // Under another name the service is asked for its permission first: nothing has left the page yet
  // when the page is left.
  await page.evaluate(
    async (baseUrl) => {
      const token = await fetch("/token").then((response) => response.json());
      window.plg = window.createClient({ baseUrl, getToken: () => token });
    },
    api.replace("127.0.0.1", "localhost"),
  );
  service.pause();
  await page.evaluate(() => void window.plg.track("upgrade_click", { id: "last" }));
  await page.goto("about:blank");
  service.resume();
  await expect.poll(clicks).toEqual(["last"]);
});

test("likewise when the page was open for longer than its first token lasts", async () => {
  const { page, service } = scene;
  await page.clock.install();
  await open(page);
  await service.clock(20);
  const renewal = page.waitForResponse("**/token");
  await page.clock.fastForward("20:00");
  await (await renewal).finished();
  await page.evaluate(() => fetch("/").then((response) => response.text()));
  await page.evaluate(() => void window.plg.track("upgrade_click", { id: "last" }));
  await page.goto("about:blank");
  await expect.poll(clicks).toEqual(["last"]);
});

test("another user who signs in in the same tab has views of her own", async () => {
  const { page, service } = scene;
  await open(page);
  const userId = "6f1f64b4-0000-4000-8000-0000000000bb";
  const token = await service.plg.createSessionToken({ hotelId: HOTEL, userId });
  // As on a page that is loaded after she has signed in.
  await page.route("**/token", (route) => route.fulfill({ json: token }));
  await open(page);
  expect(await page.evaluate(() => window.view)).toMatchObject({ outcome: "recorded" });
  const views = await service.events("dashboard_view_session");
  expect(views.map((view) => view.user_id)).toEqual([userId, USER]);
  expect(new Set(views.map((view) => view.session_id)).size).toBe(2);
});

test("where sessionStorage is forbidden, the session lasts as long as the page", async () => {
  const { page, service } = scene;
  await page.addInitScript(() => {
    Object.defineProperty(window, "sessionStorage", {
      get() {
        throw new DOMException("Access is denied for this document.", "SecurityError");
      },
    });
  });
  await open(page);
  const again = await page.evaluate(() => window.plg.trackDashboardView());
  expect(again).toMatchObject({ outcome: "suppressed_session" });
  await open(page);
  expect(await service.events()).toHaveLength(2);
});

test("where sessionStorage is full, likewise", async () => {
  const { page, service } = scene;
  await page.addInitScript(() => {
    for (let size = 1 << 22, n = 0; size >= 1;) {
      try {
        sessionStorage.setItem(`${n++}`, "x".repeat(size));
      } catch {
        size >>= 1;
      }
    }
  });
  await open(page);
  expect(await page.evaluate(() => sessionStorage.getItem("plg_session_id"))).toBeNull();
  const again = await page.evaluate(() => window.plg.trackDashboardView());
  expect(again).toMatchObject({ outcome: "suppressed_session" });
  expect(await service.events()).toHaveLength(1);
});
