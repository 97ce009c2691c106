// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";

let getSessionId: () => string;
let claimSession: (user: string) => void;

/** A page that has just been loaded. */
async function load() {
  vi.resetModules();
  ({ getSessionId, claimSession } = await import("../../src/session.js"));
}

/** Storage that is full (`set`), or forbidden. */
function forbid(...traps: ("get" | "set")[]) {
  const throws = () => {
    throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
  };
  const handler = Object.fromEntries(traps.map((trap) => [trap, throws]));
  vi.stubGlobal("sessionStorage", new Proxy({}, handler));
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

test.each([[["set"]], [["get", "set"]]] as const)(
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
  forbid("set");
  const id = getSessionId();
  vi.unstubAllGlobals();
  expect(getSessionId()).toBe(id);
  expect(sessionStorage.getItem("plg_session_id")).toBe(id);
});

test("is another one for the next user when storage has room again", () => {
  forbid("set");
  const anna = claimSession("anna");
  vi.unstubAllGlobals();
  const bert = claimSession("bert");
  expect(bert).not.toBe(anna);
  expect(claimSession("bert")).toBe(bert);
});

test("where even looking at the storage is forbidden", () => {
  vi.stubGlobal("sessionStorage", undefined);
  const id = getSessionId();
  expect(id).toBeTruthy();
  expect(getSessionId()).toBe(id);
});

test("is never shared by visitors of a server", () => {
  vi.stubGlobal("document", undefined);
  expect(getSessionId()).not.toBe(getSessionId());
  vi.unstubAllGlobals();
  expect(sessionStorage.length).toBe(0);
});

test("is another one when another user signs in, here or on a page that is loaded later", async () => {
  const anonymous = getSessionId();
  claimSession("anna");
  expect(getSessionId()).toBe(anonymous);
  await load();
  claimSession("anna");
  expect(getSessionId()).toBe(anonymous);
  claimSession("bert");
  const bert = getSessionId();
  expect(bert).not.toBe(anonymous);
  await load();
  claimSession("bert");
  expect(getSessionId()).toBe(bert);
});

test.each([[["set"]], [["get", "set"]]] as const)(
  "is one for each user where storage throws, too: %j",
  (methods) => {
    forbid(...methods);
    const id = getSessionId();
    for (const _ of ["first token", "second token"]) expect(claimSession("anna")).toBe(id);
    expect(getSessionId()).toBe(id);
    const bert = claimSession("bert");
    expect(bert).not.toBe(id);
    expect(claimSession("bert")).toBe(bert);
    expect(getSessionId()).toBe(bert);
    vi.unstubAllGlobals();
  },
);
