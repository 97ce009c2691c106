import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PlgError as BrowserError } from "../../src/index.js";
import { PlgError, QuotaExceededError, createServerClient } from "../../src/server.js";
import { type Answer, HOTEL, USER, fakeService, problem, settled } from "./fake-service.js";

const HOTEL_URL = `https://plg.example/v1/hotels/${HOTEL}`;
const RECORDED: Answer = { status: 201, body: { outcome: "recorded" } };
const who = { hotelId: HOTEL, userId: USER };

function fakeServer(...answers: Answer[]) {
  const service = fakeService(...answers);
  const options = { baseUrl: "https://plg.example", serviceKey: "plg_key", fetch: service.fetch };
  return { ...service, plg: createServerClient(options) };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("an action", () => {
  test.each([
    ["imports", { job_id: "j" }, "recordImport", { jobId: "j" }],
    ["exports", { export_id: "e" }, "recordExport", { exportId: "e" }],
    ["seats", { seat_user_id: USER }, "addSeat", { seatUserId: USER }],
  ] as const)("of %s", async (resource, key, method, own) => {
    const { plg, sent } = fakeServer(RECORDED);
    const action = { ...who, ...own, sessionId: "tab-1", eventData: { rows: 7 } };
    await expect(plg[method](action as never)).resolves.toEqual({ outcome: "recorded" });
    const { url, init, headers } = sent[0]!;
    expect(url).toBe(`${HOTEL_URL}/${resource}`);
    expect(init.method).toBe("POST");
    expect(headers.get("authorization")).toBe("Bearer plg_key");
    expect(headers.get("x-session-id")).toBe("tab-1");
    const body = { ...key, user_id: USER, event_data: { rows: 7 } };
    expect(JSON.parse(init.body as string)).toEqual(body);
  });

  test("without a session or data names none", async () => {
    const { plg, sent } = fakeServer(RECORDED);
    await plg.recordExport({ ...who, exportId: "e", sessionId: null, eventData: undefined });
    expect(sent[0]!.headers.has("x-session-id")).toBe(false);
    expect(JSON.parse(sent[0]!.init.body as string)).toEqual({ export_id: "e", user_id: USER });
  });

  test("that gives a seat up", async () => {
    const { plg, sent } = fakeServer(RECORDED);
    await plg.removeSeat({ ...who, seatUserId: "a/b" });
    expect(sent[0]!.url).toBe(`${HOTEL_URL}/seats/a%2Fb?user_id=${USER}`);
    expect(sent[0]!.init.method).toBe("DELETE");
  });

  test("whose data is no JSON throws what the caller has done wrong, and sends nothing", async () => {
    const { plg, sent } = fakeServer();
    const recorded = plg.recordExport({ ...who, exportId: "e", eventData: { rows: 7n } });
    await expect(settled(recorded)).rejects.toThrow(TypeError);
    expect(sent).toHaveLength(0);
  });

  test("refused by its quota throws what explains it, and is not tried again", async () => {
    const refusal = { quota: "exports", used: 30, limit: 30, resets_at: "2026-12-01T00:00:00Z" };
    const { body } = problem(402, "quota_exceeded") as { body: object };
    const { plg, sent } = fakeServer({ status: 402, body: { ...body, ...refusal } });
    const refused = plg.recordExport({ ...who, exportId: "e" });
    const error: QuotaExceededError = await settled(refused).catch((error) => error);
    expect(error).toBeInstanceOf(QuotaExceededError);
    expect(error).toBeInstanceOf(PlgError);
    expect(error).toMatchObject({ name: "QuotaExceededError", status: 402 });
    expect(error).toMatchObject({ quota: "exports", used: 30, limit: 30, code: "quota_exceeded" });
    expect(error.resetsAt).toEqual(new Date("2026-12-01T00:00:00Z"));
    expect(sent).toHaveLength(1);
  });

  test.each([
    ["recordImport", { jobId: "j" }],
    ["recordExport", { exportId: "e" }],
    ["addSeat", { seatUserId: USER }],
    ["removeSeat", { seatUserId: USER }],
  ] as const)("is one sending with its retries, and another one each time: %s", async (...act) => {
    const [method, own] = act;
    const { plg, sent } = fakeServer(new TypeError("reset"), RECORDED, RECORDED);
    await settled(plg[method]({ ...who, ...own } as never));
    await plg[method]({ ...who, ...own } as never);
    const [first, retry, other] = sent.map(({ headers }) => headers.get("idempotency-key"));
    expect(first).toMatch(/^[ -~]{1,128}$/);
    expect(retry).toBe(first);
    expect(other).not.toBe(first);
  });

  test("is tried again while the service is busy, since it counts once", async () => {
    const busy = problem(503, "outcome_unknown");
    const { plg, sent } = fakeServer(busy, new TypeError("reset"), RECORDED);
    await settled(plg.recordImport({ ...who, jobId: "j" }));
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ init }) => init.body)).size).toBe(1);
  });
});

test("a check of one quota", async () => {
  const check = { hotel_id: HOTEL, quota: "exports", used: 1 };
  const { plg, sent } = fakeServer({ status: 200, body: check });
  await expect(plg.checkQuota({ hotelId: HOTEL, quota: "exports" })).resolves.toEqual(check);
  expect(sent[0]!.url).toBe(`${HOTEL_URL}/quotas/exports`);
});

test("usage, of this month and of another one", async () => {
  const { plg, sent } = fakeServer();
  await expect(plg.getUsage({ hotelId: HOTEL })).resolves.toMatchObject({ plan: "standard" });
  await plg.getUsage({ hotelId: HOTEL, month: undefined });
  await plg.getUsage({ hotelId: HOTEL, month: "2026-10" });
  expect(sent.map(({ url }) => url)).toEqual([
    `${HOTEL_URL}/usage`,
    `${HOTEL_URL}/usage`,
    `${HOTEL_URL}/usage?month=2026-10`,
  ]);
});

test("a token for a browser", async () => {
  const token = { token: "eyJ", hotel_id: HOTEL, user_id: USER, expires_at: "" };
  const { plg, sent } = fakeServer({ status: 201, body: token });
  await expect(plg.createSessionToken(who)).resolves.toEqual(token);
  expect(sent[0]!.url).toBe("https://plg.example/v1/session-tokens");
  expect(JSON.parse(sent[0]!.init.body as string)).toEqual({ hotel_id: HOTEL, user_id: USER });
});

test("other errors are those of the browser's client", async () => {
  const { plg } = fakeServer(problem(403, "forbidden"));
  const error = await plg.getUsage({ hotelId: "other" }).catch((error) => error);
  expect(error).toBeInstanceOf(BrowserError);
  expect(error).not.toBeInstanceOf(QuotaExceededError);
  expect(error.code).toBe("forbidden");
});

test("an id of a request cannot lead elsewhere", async () => {
  const { plg, sent } = fakeServer();
  await plg.getUsage({ hotelId: "../rollups?" });
  expect(sent[0]!.url).toBe("https://plg.example/v1/hotels/..%2Frollups%3F/usage");
});
