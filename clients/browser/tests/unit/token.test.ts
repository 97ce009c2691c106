import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fakeClient, problem, settled } from "./fake-service.js";

const EXPIRED = problem(401, "unauthenticated");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("one token serves all calls", async () => {
  const { client, sent, getToken } = fakeClient();
  await Promise.all([client.getUsage(), client.track("upgrade_click"), client.getUsage()]);
  await client.getUsage();
  expect(sent).toHaveLength(4);
  expect(getToken).toHaveBeenCalledOnce();
});

test("an expired one is renewed once for all calls that wait", async () => {
  const { client, sent, getToken, onError } = fakeClient([EXPIRED, EXPIRED, EXPIRED]);
  await Promise.all([client.getUsage(), client.track("upgrade_click"), client.getUsage()]);
  expect(getToken).toHaveBeenCalledTimes(2);
  expect(sent.map(({ headers }) => headers.get("authorization"))).toEqual([
    ...Array(3).fill("Bearer token-1"),
    ...Array(3).fill("Bearer token-2"),
  ]);
  expect(onError).not.toHaveBeenCalled();
});

test("a call that was under way with the expired one does not renew it again", async () => {
  const { client, sent, getToken, fetch } = fakeClient([EXPIRED, EXPIRED]);
  const answer = fetch.getMockImplementation()!;
  fetch.mockImplementationOnce(async (...request) => {
    const response = await answer(...request);
    await new Promise((resume) => setTimeout(resume, 1000));
    return response;
  });
  const slow = client.getUsage();
  await client.getUsage();
  await settled(slow);
  expect(getToken).toHaveBeenCalledTimes(2);
  expect(sent).toHaveLength(4);
});

test("the event keeps its id when the token is renewed", async () => {
  const { client, sent } = fakeClient([EXPIRED]);
  await client.track("upgrade_click");
  expect(sent[1]!.events[0]!.id).toBe(sent[0]!.events[0]!.id);
});

test("a new one that is refused too is an error, and not asked for again", async () => {
  const { client, getToken, sent } = fakeClient([EXPIRED, EXPIRED]);
  await expect(settled(client.getUsage())).rejects.toMatchObject({ code: "unauthenticated" });
  expect(getToken).toHaveBeenCalledTimes(2);
  expect(sent).toHaveLength(2);
});

test("a backend that fails to give one is asked again", async () => {
  const { client, sent, getToken } = fakeClient();
  getToken.mockRejectedValueOnce(new Error("502"));
  // What a page makes of an answer whose status it does not look at.
  getToken.mockResolvedValueOnce({ message: "the service is away" } as never);
  await expect(settled(client.getUsage())).resolves.toMatchObject({ plan: "standard" });
  expect(getToken).toHaveBeenCalledTimes(3);
  expect(sent).toHaveLength(1);
});

test("a backend that never answers is asked again", async () => {
  const { client, sent, getToken } = fakeClient();
  getToken.mockReturnValueOnce(new Promise(() => {}));
  const usage = client.getUsage();
  await vi.advanceTimersByTimeAsync(11_000);
  await expect(usage).resolves.toMatchObject({ plan: "standard" });
  expect(getToken).toHaveBeenCalledTimes(2);
  expect(sent).toHaveLength(1);
});

test("a backend that never answers is an error that may pass, and nothing goes on", async () => {
  const { client, getToken } = fakeClient();
  getToken.mockReturnValue(new Promise(() => {}));
  const failed = settled(client.getUsage());
  await expect(failed).rejects.toMatchObject({ code: "unreachable", transient: true });
  expect(getToken).toHaveBeenCalledTimes(3);
  expect(vi.getTimerCount()).toBe(0);
});
