import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HOTEL, USER, fakeClient, problem } from "./fake-service.js";

const MINUTE = 60_000;
/** How long the service's tokens last. */
const LIFE = 15 * MINUTE;

let page: EventTarget & { hidden: boolean; prerendering?: boolean };

function show(visible: boolean) {
  page.hidden = !visible;
  page.dispatchEvent(new Event("visibilitychange"));
}

/** A client of a backend whose tokens last, and whose clock may go wrong. */
function lasting({ life = LIFE, ahead = 0 } = {}) {
  let tokens = 0;
  const getToken = vi.fn(async () => ({
    token: `token-${++tokens}`,
    hotel_id: HOTEL,
    user_id: USER,
    expires_at: new Date(Date.now() - ahead + life).toISOString(),
  }));
  return { ...fakeClient([], { getToken }), getToken };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  page = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal("document", page);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the token", () => {
  test("is there before anything is tracked", async () => {
    const { client, getToken } = lasting();
    await pass(0);
    expect(getToken).toHaveBeenCalledOnce();
    await client.track("upgrade_click");
    expect(getToken).toHaveBeenCalledOnce();
  });

  test("is renewed before it expires, so that a click that leaves the page needs no other", async () => {
    const { client, sent, getToken } = lasting();
    await pass(LIFE - 3 * MINUTE);
    expect(getToken).toHaveBeenCalledOnce();
    await pass(2 * MINUTE);
    expect(getToken).toHaveBeenCalledTimes(2);
    await pass(2 * MINUTE);
    void client.track("upgrade_click");
    // What a page does that is left at once: nothing that takes time.
    for (let n = 0; n < 5; n++) await Promise.resolve();
    expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer token-2"]);
  });

  test("goes on to serve while another one is fetched", async () => {
    const { client, sent, getToken } = lasting();
    await pass(LIFE - 3 * MINUTE);
    getToken.mockReturnValueOnce(new Promise(() => {}));
    await pass(MINUTE + 5_000);
    expect(getToken).toHaveBeenCalledTimes(2);
    await client.track("upgrade_click");
    expect(sent[0]!.headers.get("authorization")).toBe("Bearer token-1");
  });

  test("is renewed as long as the page is seen", async () => {
    const { getToken } = lasting();
    await pass(129 * MINUTE);
    expect(getToken).toHaveBeenCalledTimes(10);
  });

  test("is not renewed while nobody sees the page, but as soon as somebody does", async () => {
    const { getToken } = lasting();
    await pass(MINUTE);
    show(false);
    await pass(24 * 60 * MINUTE);
    expect(getToken).toHaveBeenCalledOnce();
    show(true);
    await pass(0);
    expect(getToken).toHaveBeenCalledTimes(2);
  });

  test("is renewed when the machine has slept, whose timers stood still", async () => {
    const { getToken } = lasting();
    await pass(MINUTE);
    vi.setSystemTime(Date.now() + 8 * 60 * MINUTE);
    await pass(MINUTE);
    expect(getToken).toHaveBeenCalledTimes(2);
  });

  test("of a hidden page is fetched when one is needed", async () => {
    page.hidden = true;
    const { client, getToken } = lasting();
    await pass(LIFE);
    expect(getToken).not.toHaveBeenCalled();
    await client.track("upgrade_click");
    expect(getToken).toHaveBeenCalledOnce();
  });

  test("that does not say when it expires is renewed when it is refused", async () => {
    const { client, answers, getToken } = fakeClient();
    await pass(24 * 60 * MINUTE);
    expect(getToken).toHaveBeenCalledOnce();
    answers.push(problem(401, "unauthenticated"));
    await client.track("upgrade_click");
    expect(getToken).toHaveBeenCalledTimes(2);
  });
});

describe("no storm of renewals", () => {
  test("when the backend fails: the pauses double", async () => {
    const { getToken, onError } = lasting();
    const times: number[] = [];
    const start = Date.now();
    getToken.mockImplementation(async () => {
      times.push((Date.now() - start) / MINUTE);
      throw new Error("502");
    });
    await pass(60 * MINUTE);
    expect(times).toEqual([0, 1, 3, 7, 15, 31]);
    expect(onError).not.toHaveBeenCalled();
  });

  test("and after a failure it goes on as before", async () => {
    const { getToken } = lasting();
    getToken.mockRejectedValueOnce(new Error("502"));
    await pass(MINUTE);
    expect(getToken).toHaveBeenCalledTimes(2);
    getToken.mockRejectedValueOnce(new Error("502"));
    await pass(13 * MINUTE);
    expect(getToken).toHaveBeenCalledTimes(3);
    await pass(MINUTE);
    expect(getToken).toHaveBeenCalledTimes(4);
  });

  test.each([
    ["when the clock is far ahead", { ahead: 60 * MINUTE }],
    ["of tokens that last seconds", { life: 5_000 }],
  ])("%s: once a minute", async (_, wrong) => {
    const { getToken } = lasting(wrong);
    await pass(9.5 * MINUTE);
    expect(getToken).toHaveBeenCalledTimes(10);
  });
});

test("a client that is closed asks for no other token, and sends with the one that it has", async () => {
  const { client, sent, answers, getToken, onError } = lasting();
  await pass(0);
  client.close();
  await client.track("upgrade_click");
  expect(sent[0]!.events[0]).toMatchObject({ hotel_id: HOTEL, user_id: USER });
  await pass(LIFE);
  show(true);
  answers.push(problem(401, "unauthenticated"));
  void client.track("upgrade_click");
  await pass(MINUTE);
  expect(getToken).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
  expect(onError.mock.calls[0]![0].message).toContain("the client is closed");
});

test("a client that is closed takes no first token that comes later, which may be another user's", async () => {
  const { client, getToken, sent } = lasting();
  const answer = getToken.getMockImplementation()!;
  getToken.mockImplementationOnce(async () => {
    await new Promise((resume) => setTimeout(resume, 1_000));
    return answer();
  });
  void client.track("upgrade_click");
  await pass(0);
  client.close();
  await pass(MINUTE);
  expect(sent).toHaveLength(0);
});

test("what is under way stays in the session of whoever did it", async () => {
  const anna = lasting();
  anna.answers.push(new TypeError("Failed to fetch"));
  void anna.client.track("paywall_view");
  await pass(0);
  anna.client.close();
  const { token, ...ids } = await lasting().getToken();
  const getToken = async () => ({ ...ids, token, user_id: "6f1f64b4-0000-4000-8000-0000000000bb" });
  const bert = fakeClient([], { getToken });
  void bert.client.track("paywall_view");
  await pass(MINUTE);
  const session = ({ headers }: { headers: Headers }) => headers.get("x-session-id");
  const [first, again] = anna.sent.map(session);
  expect(again).toBe(first);
  expect(bert.sent.map(session)).not.toContain(first);
});

test("a page that is made ready in advance sends and stores nothing until it is shown", async () => {
  Object.assign(page, { hidden: true, prerendering: true });
  const { client, getToken, sent } = lasting();
  void client.track("dashboard_view_session");
  const usage = client.getUsage();
  await pass(10 * MINUTE);
  expect(getToken).not.toHaveBeenCalled();
  Object.assign(page, { hidden: false, prerendering: false });
  page.dispatchEvent(new Event("prerenderingchange"));
  await pass(0);
  await expect(usage).resolves.toMatchObject({ plan: "standard" });
  expect(sent).toHaveLength(2);
});

test("no timer runs on a server", async () => {
  vi.stubGlobal("document", undefined);
  const { client, getToken } = lasting();
  await client.track("upgrade_click");
  expect(getToken).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});
