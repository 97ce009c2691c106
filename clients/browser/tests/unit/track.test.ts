import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PlgError } from "../../src/index.js";
import {
  HOTEL,
  type Sent,
  USER,
  fakeClient,
  fakeService,
  problem,
  settled,
} from "./fake-service.js";

const BAD_GATEWAY = { status: 502, body: "<html>" };
const OFFLINE = new TypeError("Failed to fetch");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("an event", () => {
  test("is sent with the token, the session, an id and the token's hotel and user", async () => {
    const { client, sent } = fakeClient();
    await expect(client.track("upgrade_click")).resolves.toEqual({ outcome: "recorded" });
    expect(sent).toHaveLength(1);
    const { url, init, headers, events } = sent[0]!;
    expect(url).toBe("https://plg.example/v1/events");
    expect(init.method).toBe("POST");
    expect(init.keepalive).toBe(true);
    expect(init.signal).toBeInstanceOf(AbortSignal);
    expect(headers.get("authorization")).toBe("Bearer token-1");
    expect(headers.get("content-type")).toBe("application/json");
    expect(headers.get("x-session-id")).toMatch(/^\S{1,128}$/);
    expect(events).toEqual([
      { event_type: "upgrade_click", id: expect.any(String), hotel_id: HOTEL, user_id: USER },
    ]);
  });

  test("may have data and an id of the caller's", async () => {
    const { client, sent } = fakeClient();
    const eventData = { plan: "deluxe" };
    const sending = client.track("upgrade_click", { id: "click-1", eventData });
    eventData.plan = "changed meanwhile";
    await sending;
    expect(sent[0]!.events[0]).toMatchObject({ id: "click-1", event_data: { plan: "deluxe" } });
  });

  test("may be given options that are undefined", async () => {
    const { client, sent } = fakeClient([], { fetch: undefined, onError: undefined });
    vi.stubGlobal("fetch", fakeService().fetch);
    const sending = client.track("upgrade_click", { id: undefined, eventData: undefined });
    await expect(sending).resolves.toEqual({ outcome: "recorded" });
    expect(sent).toHaveLength(0);
  });

  test("that moves a counter is none that a browser may send", () => {
    const { client } = fakeClient();
    // @ts-expect-error: the types say so, before the service does.
    const mistake = () => client.track("export_success");
    expect(mistake).toBeTypeOf("function");
  });

  test("of a view has a name of its own", async () => {
    const { client, sent } = fakeClient();
    await Promise.all([client.trackDashboardView(), client.trackPricingTabView()]);
    expect(sent.flatMap(({ events }) => events.map((event) => event.event_type))).toEqual([
      "dashboard_view_session",
      "pricing_tab_session_view",
    ]);
  });

  test("shares a request with what is tracked in the same go", async () => {
    const results = [{ outcome: "recorded" }, { outcome: "suppressed_session" }];
    const { client, sent } = fakeClient([{ status: 200, body: { results } }]);
    const outcomes = await Promise.all([
      client.track("upgrade_click"),
      client.trackDashboardView(),
    ]);
    expect(sent).toHaveLength(1);
    expect(outcomes).toEqual(results);
  });

  test("that is refused does not harm its neighbours", async () => {
    const { body: refusal } = problem(403, "forbidden") as { body: object };
    const results = [{ problem: refusal }, { outcome: "recorded" }];
    const { client, onError } = fakeClient([{ status: 200, body: { results } }]);
    const outcomes = await Promise.all([
      client.track("upgrade_click"),
      client.trackDashboardView(),
    ]);
    expect(outcomes).toEqual([undefined, { outcome: "recorded" }]);
    expect(onError).toHaveBeenCalledOnce();
    expect(onError.mock.calls[0]![0]).toMatchObject({ status: 403, code: "forbidden" });
  });

  test("that is too large is told at once, and does not harm its neighbours", async () => {
    const { client, sent, onError } = fakeClient();
    const eventData = { note: "日".repeat(3_072) };
    const tooLarge = client.track("upgrade_click", { eventData });
    const neighbour = client.trackDashboardView();
    expect(onError).toHaveBeenCalledOnce();
    const error = { status: 413, code: "body_too_large", transient: false };
    expect(onError.mock.calls[0]![0]).toMatchObject(error);
    await expect(Promise.all([tooLarge, neighbour])).resolves.toEqual([
      undefined,
      { outcome: "recorded" },
    ]);
    expect(sent.map(({ events }) => events.length)).toEqual([1]);
  });

  test("of the largest data, with the longest id, is sent; a hundred of them fit a request", async () => {
    const { client, sent, onError } = fakeClient();
    const eventData = { note: "x".repeat(8 * 1024 - JSON.stringify({ note: "" }).length) };
    const id = "\\".repeat(128);
    const track = () => client.track("pricing_tab_session_view", { id, eventData });
    await Promise.all(Array.from({ length: 100 }, track));
    expect(onError).not.toHaveBeenCalled();
    expect(sent[0]!.events).toHaveLength(100);
    expect((sent[0]!.init.body as string).length).toBeLessThan(1024 * 1024);
  });

  test("is sent without keepalive when that is too much behind a page that is left", async () => {
    const { client, sent } = fakeClient();
    const eventData = { note: "x".repeat(7_000) };
    await Promise.all([1, 2, 3].map(() => client.track("upgrade_click", { eventData })));
    expect(sent[0]!.init.keepalive).toBe(false);
  });
});

describe("tracking never throws", () => {
  test.each([
    ["the service is away", [OFFLINE, OFFLINE, OFFLINE], "unreachable"],
    ["the event is wrong", [problem(422, "invalid_field")], "invalid_field"],
    [
      "a proxy answers for the service",
      [BAD_GATEWAY, BAD_GATEWAY, BAD_GATEWAY],
      "unexpected_answer",
    ],
    ["something else answers", [{ status: 200, body: { hello: 1 } }], "unexpected_answer"],
    ["something else answers nothing", [{ status: 200, body: "null" }], "unexpected_answer"],
  ])("when %s; onError is told", async (_, answers, code) => {
    const { client, onError } = fakeClient(answers);
    await expect(settled(client.track("upgrade_click"))).resolves.toBeUndefined();
    expect(onError).toHaveBeenCalledOnce();
    expect(onError.mock.calls[0]![0]).toBeInstanceOf(PlgError);
    expect(onError.mock.calls[0]![0]).toMatchObject({ code });
  });

  test("when there is no token", async () => {
    const getToken = () => {
      throw new Error("signed out");
    };
    const { client, onError } = fakeClient([], { getToken });
    await expect(settled(client.track("upgrade_click"))).resolves.toBeUndefined();
    expect(onError.mock.calls[0]![0].message).toContain("signed out");
  });

  test("when the data is no JSON", async () => {
    const { client, onError, sent } = fakeClient();
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const sending = client.track("upgrade_click", { eventData: circular });
    await expect(sending).resolves.toBeUndefined();
    expect(onError).toHaveBeenCalledOnce();
    expect(sent).toHaveLength(0);
  });

  test("when onError throws itself", async () => {
    const onError = () => {
      throw new Error("a mistake of the page");
    };
    const { client } = fakeClient([problem(422, "invalid_field")], { onError });
    await expect(client.track("upgrade_click")).resolves.toBeUndefined();
  });

  test("and warns on the console without an onError", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const { client } = fakeClient([problem(422, "invalid_field")], { onError: undefined });
    await client.track("upgrade_click");
    expect(warn).toHaveBeenCalledOnce();
  });
});

describe("what cannot be delivered is kept", () => {
  const online = () => globalThis.dispatchEvent(new Event("online"));
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) => from + n);
  const delivered = (sent: Sent[]) =>
    sent.flatMap(({ events }) => events.map(({ id }) => Number(id))).sort((a, b) => a - b);
  let page: EventTarget;

  beforeEach(() => {
    page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("dispatchEvent", page.dispatchEvent.bind(page));
  });

  test("and sent with the same ids, in order, when the page is online again", async () => {
    const { client, sent } = fakeClient(Array(6).fill(OFFLINE));
    await settled(client.track("upgrade_click", { id: "first" }));
    await settled(client.track("upgrade_click", { id: "second" }));
    expect(sent).toHaveLength(6);
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(7);
    expect(sent[6]!.events.map((event) => event.id)).toEqual(["first", "second"]);
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(7);
  });

  test("and sent when a later event gets through", async () => {
    const { client, sent } = fakeClient(Array(3).fill(problem(503, "overloaded")));
    await settled(client.track("upgrade_click", { id: "first" }));
    await settled(client.track("upgrade_click", { id: "second" }));
    expect(sent.slice(3).map(({ events }) => events.map((event) => event.id))).toEqual([
      ["second"],
      ["first"],
    ]);
  });

  test("also when only a part of a request met trouble", async () => {
    const trouble = { problem: (problem(503, "overloaded") as { body: object }).body };
    const body = { results: [trouble, { outcome: "recorded" }] };
    const { client, sent } = fakeClient([{ status: 200, body }]);
    void client.track("upgrade_click", { id: "first" });
    await settled(client.track("upgrade_click", { id: "second" }));
    expect(sent[1]!.events.map((event) => event.id)).toEqual(["first"]);
  });

  test("and not sent again at once when nothing of a request was taken", async () => {
    const trouble = { problem: (problem(503, "overloaded") as { body: object }).body };
    const answer = { status: 200, body: { results: [trouble] } };
    const { client, sent } = fakeClient(Array(9).fill(answer));
    await settled(client.track("upgrade_click"));
    expect(sent).toHaveLength(1);
  });

  test("also when it was a gateway that answered, with JSON", async () => {
    const badGateway = { status: 502, body: { code: 11 } };
    const { client, sent } = fakeClient(Array(3).fill(badGateway));
    await settled(client.track("upgrade_click", { id: "first" }));
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(4);
  });

  test("and sent when the page is shown or left", async () => {
    const { client, sent } = fakeClient(Array(3).fill(OFFLINE));
    await settled(client.track("upgrade_click", { id: "first" }));
    globalThis.dispatchEvent(new Event("visibilitychange"));
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(4);
    expect(sent[3]!.events[0]!.id).toBe("first");
  });

  test("also when it met only tokens that the service refused", async () => {
    const refused = problem(401, "unauthenticated");
    const { client, sent, onError } = fakeClient([refused, refused]);
    await settled(client.track("upgrade_click", { id: "first" }));
    expect(onError.mock.lastCall![0].code).toBe("unauthenticated");
    await settled(client.track("upgrade_click", { id: "second" }));
    expect(sent.slice(2).map(({ events }) => events[0]!.id)).toEqual(["second", "first"]);
  });

  test("and given up when the client is closed", async () => {
    const { client, sent } = fakeClient(Array(6).fill(OFFLINE));
    await settled(client.track("upgrade_click", { id: "first" }));
    const second = client.track("upgrade_click", { id: "second" });
    client.close();
    await settled(second);
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(6);
  });

  test("but not sent as what another user did", async () => {
    const { client, sent, answers, getToken, onError } = fakeClient(Array(3).fill(OFFLINE));
    await settled(client.track("upgrade_click"));
    const anna = await getToken();
    answers.push(problem(401, "unauthenticated"));
    getToken.mockResolvedValue({ ...anna, user_id: "6f1f64b4-0000-4000-8000-0000000000bb" });
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(4);
    expect(onError.mock.lastCall![0].message).toContain("another user or hotel");
    // She has signed in again.
    getToken.mockResolvedValue(anna);
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(5);
    expect(sent[4]!.events[0]).toMatchObject({ hotel_id: HOTEL, user_id: USER });
  });

  test("or in another hotel", async () => {
    const { client, sent, answers, getToken } = fakeClient(Array(3).fill(OFFLINE));
    await settled(client.track("upgrade_click"));
    answers.push(problem(401, "unauthenticated"));
    getToken.mockResolvedValue({ token: "t", hotel_id: USER, user_id: USER });
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(4);
  });

  test("and not when it was refused", async () => {
    const { client, sent } = fakeClient([problem(422, "invalid_field")]);
    await client.track("upgrade_click");
    online();
    await vi.runAllTimersAsync();
    expect(sent).toHaveLength(1);
  });

  test("up to a hundred events, the newest", async () => {
    const { client, sent } = fakeClient(Array(6).fill(OFFLINE));
    for (let n = 0; n < 105; n++) void client.track("upgrade_click", { id: `${n}` });
    await vi.runAllTimersAsync();
    expect(sent.splice(0)).toHaveLength(6);
    online();
    await vi.runAllTimersAsync();
    expect(delivered(sent)).toEqual(numbers(5, 105));
  });

  test("within bounds while there is no answer: the first of what waits are given up", async () => {
    const { client, sent, getToken, onError } = fakeClient();
    getToken.mockReturnValueOnce(new Promise(() => {}));
    for (let n = 0; n < 400; n++) {
      void client.track("upgrade_click", { id: `${n}` });
      await Promise.resolve();
    }
    await Promise.resolve();
    expect(onError).toHaveBeenCalledTimes(200);
    await vi.runAllTimersAsync();
    expect(delivered(sent)).toEqual([...numbers(0, 100), ...numbers(200, 400)]);
  });
});
