import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Answer, fakeClient, problem, settled } from "./fake-service.js";

const OFFLINE = new TypeError("Failed to fetch");
const OVERLOADED = problem(503, "overloaded");

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Milliseconds between the attempts of one call. */
async function pauses(answers: Answer[], random: number): Promise<number[]> {
  vi.spyOn(Math, "random").mockReturnValue(random);
  const { client, fetch } = fakeClient(answers);
  const times: number[] = [];
  const answer = fetch.getMockImplementation()!;
  fetch.mockImplementation((...request) => {
    times.push(Date.now());
    return answer(...request);
  });
  await settled(client.track("upgrade_click"));
  return times.slice(1).map((time, n) => time - times[n]!);
}

describe("what may pass", () => {
  test.each([
    ["no answer", OFFLINE],
    ["429", problem(429, "rate_limited")],
    ["503", OVERLOADED],
    ["500 of Next.js", { status: 500, body: "Internal Server Error" }],
    ["502 of a proxy", { status: 502, body: "<html>" }],
    ["502 of a gateway that answers with JSON", { status: 502, body: { code: 11, detail: "no" } }],
    ["503 of one whose code is not the service's", { status: 503, body: { code: "internal" } }],
    ["504 of one that says nothing", { status: 504, body: "null" }],
  ] as [string, Answer][])("is tried again with the same id: %s", async (_, answer) => {
    const { client, sent, onError } = fakeClient([answer, answer]);
    await expect(settled(client.track("upgrade_click"))).resolves.toEqual({ outcome: "recorded" });
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ events }) => events[0]!.id)).size).toBe(1);
    expect(onError).not.toHaveBeenCalled();
  });

  test("is tried again twice, and no more", async () => {
    const { client, sent, onError } = fakeClient([OFFLINE, OVERLOADED, OFFLINE]);
    await settled(client.track("upgrade_click"));
    expect(sent).toHaveLength(3);
    expect(onError).toHaveBeenCalledOnce();
  });

  test.each([400, 402, 403, 404, 408, 413, 422, 500, 502])(
    "does not include %i",
    async (status) => {
      const { client, sent } = fakeClient([problem(status, "whatever")]);
      await settled(client.track("upgrade_click"));
      expect(sent).toHaveLength(1);
    },
  );
});

describe("the pause", () => {
  test("doubles, and half of it is left to chance", async () => {
    expect(await pauses([OFFLINE, OFFLINE], 0)).toEqual([500, 1000]);
    expect(await pauses([OFFLINE, OFFLINE], 1)).toEqual([250, 500]);
  });

  test("is longer than the service asks for", async () => {
    const asked = problem(429, "rate_limited", { "retry-after": "7" });
    expect(await pauses([asked, OFFLINE], 0)).toEqual([7500, 1000]);
  });

  test("is not made when the service asks for a very long one", async () => {
    expect(await pauses([problem(503, "overloaded", { "retry-after": "30" })], 0)).toEqual([]);
  });
});
