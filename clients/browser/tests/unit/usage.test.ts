import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PlgError, isNearLimit } from "../../src/index.js";
import { HOTEL, USAGE, fakeClient, problem, settled } from "./fake-service.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("is read of the token's hotel", async () => {
  const { client, sent } = fakeClient();
  await expect(client.getUsage()).resolves.toEqual(USAGE);
  expect(sent[0]!.url).toBe(`https://plg.example/v1/hotels/${HOTEL}/usage`);
  expect(sent[0]!.init.method).toBeUndefined();
  expect(sent[0]!.headers.get("x-session-id")).toBeTruthy();
});

test("of an earlier month, too", async () => {
  const { client, sent } = fakeClient();
  await client.getUsage({ month: "2026-10" });
  expect(sent[0]!.url).toMatch(/\/usage\?month=2026-10$/);
});

test("of a month that is undefined is that of the current one", async () => {
  const { client, sent } = fakeClient();
  await client.getUsage({ month: undefined });
  expect(sent[0]!.url).toMatch(/\/usage$/);
});

test("is tried again, since reading changes nothing", async () => {
  const { client, sent } = fakeClient([problem(503, "overloaded"), new TypeError("offline")]);
  await expect(settled(client.getUsage())).resolves.toEqual(USAGE);
  expect(sent).toHaveLength(3);
});

test.each([
  [problem(422, "invalid_field"), { status: 422, code: "invalid_field", transient: false }],
  [problem(500, "internal"), { status: 500, code: "internal", transient: false }],
  [
    { status: 502, body: "<html>" },
    { status: 502, code: "unexpected_answer", transient: true },
  ],
  [
    { status: 502, body: { code: 11, detail: "no upstream" } },
    { status: 502, code: "unexpected_answer", transient: true, problem: undefined },
  ],
  [
    { status: 404, body: { type: "about:blank", code: "not_found" } },
    { status: 404, code: "unexpected_answer", transient: false },
  ],
  [
    { status: 504, body: "null" },
    { status: 504, code: "unexpected_answer", transient: true },
  ],
])("throws typed errors", async (answer, expected) => {
  const { client, onError } = fakeClient([answer, answer, answer]);
  const error = await settled(client.getUsage()).catch((error) => error);
  expect(error).toBeInstanceOf(PlgError);
  expect(error).toMatchObject(expected);
  expect(onError).not.toHaveBeenCalled();
});

test("says what the service said, and what lies behind it", async () => {
  const { client } = fakeClient([problem(422, "invalid_field")]);
  const error: PlgError = await client.getUsage().catch((error) => error);
  expect(error.message).toBe("invalid_field: because invalid_field");
  expect(error.problem).toMatchObject({ title: "invalid_field", status: 422 });
  const cause = new TypeError("Failed to fetch");
  const away = fakeClient([cause, cause, cause]);
  const unreachable = await settled(away.client.getUsage()).catch((error) => error);
  expect(unreachable).toMatchObject({ status: 0, code: "unreachable", transient: true, cause });
});

test.each([
  [799, 1000, false],
  [800, 1000, true],
  [2, 3, false],
  [3, 3, true],
  [0, 0, true],
  [Number.MAX_SAFE_INTEGER, null, false],
])("%i of %j is near the limit: %j", (used, limit, near) => {
  expect(isNearLimit({ used, limit })).toBe(near);
  expect(fakeClient().client.isNearLimit({ used, limit })).toBe(near);
});
