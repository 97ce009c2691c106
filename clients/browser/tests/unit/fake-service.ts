import { vi } from "vitest";
import { type ClientOptions, type TokenForPage, createClient } from "../../src/index.js";

export const HOTEL = "6f1f64b4-0000-4000-8000-000000000001";
export const USER = "6f1f64b4-0000-4000-8000-0000000000aa";

export const USAGE = {
  hotel_id: HOTEL,
  month: "2026-11",
  time_zone: "UTC",
  plan: "standard",
  resets_at: "2026-12-01T00:00:00Z",
  quotas: {
    imports: { used: 3, limit: 3, remaining: 0, near_limit: true, exceeded: true },
    exports: { used: 4, limit: 30, remaining: 26, near_limit: false, exceeded: false },
    active_users: { used: 9, limit: null, remaining: null, near_limit: false, exceeded: false },
  },
  last_rollup_at: null,
};

/** What the service answers: a status, its body, and headers; or no answer at all. */
export type Answer = { status: number; body?: unknown; headers?: Record<string, string> } | Error;

export const problem = (status: number, code: string, headers = {}): Answer => ({
  status,
  body: { type: `urn:plg:problem:${code}`, title: code, status, code, detail: `because ${code}` },
  headers,
});

export interface SentEvent {
  event_type: string;
  id: string;
  hotel_id: string;
  user_id: string;
  event_data?: unknown;
}

export interface Sent {
  url: string;
  init: RequestInit;
  headers: Headers;
  events: SentEvent[];
}

/** A service that gives the answers it is told, and then records whatever comes. */
export function fakeService(...answers: Answer[]) {
  const sent: Sent[] = [];
  const fetch = vi.fn(async (url: RequestInfo | URL, init: RequestInit = {}) => {
    const events = init.body ? JSON.parse(init.body as string) : [];
    sent.push({ url: String(url), init, headers: new Headers(init.headers), events });
    const answer = answers.shift() ?? { status: 200 };
    if (answer instanceof Error) throw answer;
    const recorded = () =>
      init.method === "POST" ? { results: events.map(() => ({ outcome: "recorded" })) } : USAGE;
    const { status, body = recorded(), headers = {} } = answer;
    return new Response(typeof body === "string" ? body : JSON.stringify(body), {
      status,
      headers,
    });
  });
  return { fetch, sent, answers };
}

/** A client of a fake service. Its tokens are `token-1`, `token-2`, …, and say nothing of their end. */
export function fakeClient(answers: Answer[] = [], options: Partial<ClientOptions> = {}) {
  const service = fakeService(...answers);
  let tokens = 0;
  const getToken = vi.fn(async (): Promise<TokenForPage> => ({
    token: `token-${++tokens}`,
    hotel_id: HOTEL,
    user_id: USER,
  }));
  const onError = vi.fn();
  const client = createClient({
    baseUrl: "https://plg.example/",
    getToken,
    fetch: service.fetch,
    onError,
    ...options,
  });
  return { ...service, client, getToken, onError };
}

/** Lets time pass until nothing is waited for any more. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await vi.runAllTimersAsync();
  return promise;
}
