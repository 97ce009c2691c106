// @vitest-environment happy-dom
import { act, cleanup, configure, render, renderHook } from "@testing-library/react";
import { Activity, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PlgProvider, useAction, useQuota, useTrackView, useUsage } from "../../src/react/index.js";
import { USAGE, fakeClient, problem } from "./fake-service.js";

// Around the root: further inside, StrictMode does not run effects twice.
configure({ reactStrictMode: true });

let service: ReturnType<typeof fakeClient>;

function Page({ children }: { children?: ReactNode }) {
  return <PlgProvider client={service.client}>{children}</PlgProvider>;
}

const events = () =>
  service.sent.flatMap(({ events }) => events.map(({ event_type }) => event_type));
const reads = () => service.sent.filter(({ url }) => url.endsWith("/usage"));
const idle = () => act(() => vi.advanceTimersByTimeAsync(5_000));

beforeEach(() => {
  vi.useFakeTimers();
  service = fakeClient();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

test("a view is one request under StrictMode's double effects, and rendering again", async () => {
  const view = renderHook(() => useTrackView("dashboard_view_session"), { wrapper: Page });
  view.rerender();
  await idle();
  expect(events()).toEqual(["dashboard_view_session"]);
});

test("a view that appears again is logged again, as is another one in its place", async () => {
  const view = renderHook(({ type }) => useTrackView(type), {
    wrapper: Page,
    initialProps: { type: "dashboard_view_session" as "dashboard_view_session" | "paywall_view" },
  });
  view.rerender({ type: "paywall_view" });
  view.unmount();
  renderHook(() => useTrackView("paywall_view"), { wrapper: Page });
  await idle();
  expect(events()).toEqual(["dashboard_view_session", "paywall_view", "paywall_view"]);
});

test("a view that was hidden and is shown again is logged again", async () => {
  const View = () => (useTrackView("dashboard_view_session"), null);
  const App = ({ mode }: { mode: "visible" | "hidden" }) => (
    <Activity mode={mode}>
      <View />
    </Activity>
  );
  const page = render(<App mode="visible" />, { wrapper: Page });
  await idle();
  page.rerender(<App mode="hidden" />);
  await idle();
  expect(events()).toHaveLength(1);
  page.rerender(<App mode="visible" />);
  page.rerender(<App mode="visible" />);
  await idle();
  expect(events()).toHaveLength(2);
});

test("nothing is sent from a server", () => {
  vi.stubGlobal("document", undefined);
  service = fakeClient();
  function Dashboard() {
    useTrackView("dashboard_view_session");
    return useQuota("exports").loading ? "loading" : "ready";
  }
  const html = renderToString(
    <Page>
      <Dashboard />
    </Page>,
  );
  expect(html).toBe("loading");
  expect(service.getToken).not.toHaveBeenCalled();
});

test("a quota is what the service says of it", async () => {
  const { result } = renderHook(() => useQuota("imports"), { wrapper: Page });
  const unknown = { used: undefined, limit: undefined, remaining: undefined };
  const open = { nearLimit: false, exceeded: false, error: undefined };
  expect(result.current).toEqual({ ...unknown, ...open, loading: true });
  await idle();
  const told = { used: 3, limit: 3, remaining: 0, nearLimit: true, exceeded: true };
  expect(result.current).toEqual({ ...told, loading: false, error: undefined });
});

test("an unlimited quota has a limit of null", async () => {
  const { result } = renderHook(() => useQuota("active_users"), { wrapper: Page });
  await idle();
  expect(result.current).toMatchObject({ used: 9, limit: null, remaining: null });
});

test("all components share one reading", async () => {
  const both = () => [useUsage().usage, useQuota("imports").used, useQuota("exports").used];
  const { result } = renderHook(both, { wrapper: Page });
  await idle();
  expect(result.current).toEqual([USAGE, 3, 4]);
  expect(reads()).toHaveLength(1);
});

test("after an action the quotas are read again, also when it was refused", async () => {
  const backend = vi.fn(async (id: string) => `exported ${id}`);
  const both = () => [useQuota("exports").used, useAction(backend)] as const;
  const { result } = renderHook(both, { wrapper: Page });
  await idle();
  const { exports } = USAGE.quotas;
  const quotas = { ...USAGE.quotas, exports: { ...exports, used: 5 } };
  service.answers.push({ status: 200, body: { ...USAGE, quotas } });
  await act(async () => expect(await result.current[1]("7")).toBe("exported 7"));
  await idle();
  expect(result.current[0]).toBe(5);

  backend.mockRejectedValueOnce(new Error("refused"));
  await act(() => expect(result.current[1]("8")).rejects.toThrow("refused"));
  await idle();
  expect(reads()).toHaveLength(3);
});

test("an error is told, and what was known before stays", async () => {
  const { result } = renderHook(() => useUsage(), { wrapper: Page });
  await idle();
  service.answers.push(problem(500, "internal"));
  await act(() => result.current.refresh());
  expect(result.current.error).toMatchObject({ code: "internal" });
  expect(result.current.usage).toEqual(USAGE);
  await act(() => result.current.refresh());
  expect(result.current.error).toBeUndefined();
});

test("an answer that was overtaken is not shown", async () => {
  const { result } = renderHook(() => useUsage(), { wrapper: Page });
  await idle();
  const answer = service.fetch.getMockImplementation()!;
  service.fetch.mockImplementationOnce(async (...request) => {
    await new Promise((resume) => setTimeout(resume, 1000));
    await answer(...request);
    return Response.json({ ...USAGE, plan: "overtaken" });
  });
  void result.current.refresh();
  await act(() => result.current.refresh());
  await idle();
  expect(result.current.usage?.plan).toBe("standard");
});

test("answers are shown as they come while others are asked for, and a failure if it is the last", async () => {
  const { result } = renderHook(() => useUsage(), { wrapper: Page });
  await idle();
  const later = (ms: number, answer: Response) => async () => {
    await new Promise((resume) => setTimeout(resume, ms));
    return answer;
  };
  const plan = (name: string) => Response.json({ ...USAGE, plan: name });
  const refused = () => Response.json({}, { status: 404 });
  service.fetch.mockImplementationOnce(later(100, plan("first")));
  service.fetch.mockImplementationOnce(later(200, refused()));
  service.fetch.mockImplementationOnce(later(300, plan("third")));
  service.fetch.mockImplementationOnce(later(400, refused()));
  for (let read = 0; read < 4; read++) void result.current.refresh();
  for (const [shown, failed] of [
    ["first", false],
    ["first", false],
    ["third", false],
    ["third", true],
  ] as const) {
    await act(() => vi.advanceTimersByTimeAsync(100));
    expect(result.current.usage?.plan).toBe(shown);
    expect(!!result.current.error).toBe(failed);
  }
});

test("a page that is visited again reads again", async () => {
  const App = ({ tab }: { tab: string }) => (tab === "usage" ? <Meter /> : null);
  const Meter = () => <i>{useQuota("exports").used}</i>;
  const page = render(<App tab="usage" />, { wrapper: Page });
  await idle();
  page.rerender(<App tab="other" />);
  page.rerender(<App tab="usage" />);
  await idle();
  expect(reads()).toHaveLength(2);
});

describe("figures that have grown old are read again", () => {
  const happen = async (
    type: string,
    { hidden = false, persisted = undefined as unknown } = {},
  ) => {
    vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
    const target = type === "visibilitychange" ? document : window;
    target.dispatchEvent(Object.assign(new Event(type, { bubbles: true }), { persisted }));
    await idle();
  };
  const meters = () => [useQuota("imports").used, useQuota("exports").used, useUsage().error];

  test.each([
    ["when the page is online again", "online", {}],
    ["when the page is seen again", "visibilitychange", {}],
    ["when the page comes out of the browser's cache", "pageshow", { persisted: true }],
  ])("%s, once for all components", async (_, type, how) => {
    service.answers.push(problem(403, "forbidden"));
    const { result } = renderHook(meters, { wrapper: Page });
    await idle();
    expect(result.current).toMatchObject([undefined, undefined, { code: "forbidden" }]);
    await happen(type, how);
    expect(result.current).toEqual([3, 4, undefined]);
    expect(reads()).toHaveLength(2);
  });

  test.each([
    ["when the page is left", "visibilitychange", { hidden: true }],
    ["when nobody sees the page", "online", { hidden: true }],
    ["when the page has just been loaded", "pageshow", { persisted: false }],
  ])("but not %s", async (_, type, how) => {
    renderHook(meters, { wrapper: Page });
    await idle();
    await happen(type, how);
    expect(reads()).toHaveLength(1);
  });

  test("but not where nobody shows them any more", async () => {
    const { unmount } = renderHook(meters, { wrapper: Page });
    await idle();
    unmount();
    await happen("online");
    expect(reads()).toHaveLength(1);
  });

  test("once, whatever comes together", async () => {
    renderHook(meters, { wrapper: Page });
    await idle();
    vi.spyOn(document, "hidden", "get").mockReturnValue(false);
    await act(async () => {
      for (let n = 0; n < 10; n++) {
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        window.dispatchEvent(new Event("online"));
        await vi.advanceTimersByTimeAsync(50);
      }
    });
    await idle();
    expect(reads()).toHaveLength(2);
  });
});

test("a hook without a provider says what is missing", () => {
  vi.spyOn(console, "error").mockReturnValue();
  expect(() => renderHook(() => useUsage())).toThrow("<PlgProvider");
});
