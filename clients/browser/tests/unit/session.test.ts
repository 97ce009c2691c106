// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";

let getSessionId: () => string;

/** A page that has just been loaded. */
async function load() {
  vi.resetModules();
  ({ getSessionId } = await import("../../src/session.js"));
}

/** Storage that is full (`setItem`), or forbidden. */
function forbid(...methods: ("getItem" | "setItem")[]) {
  const throws = () => {
    throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
  };
  const storage = { getItem: () => null, setItem: () => {} };
  for (const method of methods) storage[method] = throws;
  vi.stubGlobal("sessionStorage", storage);
}

beforeEach(async () => {
  sessionStorage.clear();
  await load();
});

test("lasts over reloads", async () => {
  const id = getSessionId();
  expect(id).toMatch(/^[0-9a-z]{36}$/);
  expect(getSessionId()).toBe(id);
  await load();
  expect(getSessionId()).toBe(id);
});

test("is another one in another tab", async () => {
  const id = getSessionId();
  sessionStorage.clear();
  await load();
  expect(getSessionId()).not.toBe(id);
});

test.each([[["setItem"]], [["getItem", "setItem"]]] as const)(
  "lasts as long as the page where storage throws: %j",
  async (methods) => {
    forbid(...methods);
    const id = getSessionId();
    expect(id).toBeTruthy();
    expect(getSessionId()).toBe(id);
    await load();
    expect(getSessionId()).not.toBe(id);
    vi.unstubAllGlobals();
    expect(sessionStorage).toHaveLength(0);
  },
);

test("is kept when storage has room again", () => {
  forbid("setItem");
  const id = getSessionId();
  vi.unstubAllGlobals();
  expect(getSessionId()).toBe(id);
  expect(sessionStorage.getItem("plg_session_id")).toBe(id);
});

test("where even looking at the storage is forbidden", () => {
  vi.stubGlobal("sessionStorage", undefined);
  const id = getSessionId();
  expect(id).toBeTruthy();
  expect(getSessionId()).toBe(id);
});

test("is never shared by visitors of a server", () => {
  vi.stubGlobal("window", undefined);
  expect(getSessionId()).not.toBe(getSessionId());
  vi.unstubAllGlobals();
  expect(sessionStorage.length).toBe(0);
});
