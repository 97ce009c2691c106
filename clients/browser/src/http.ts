import { PlgError } from "./errors.js";

const RETRIES_MAX = 2;
/** Before the first retry; twice that before the second. Half of it is left to chance. */
const BACKOFF_MS = 500;
/** A service that asks for a longer pause is not asked again. */
const PAUSE_MAX_MS = 30_000;
/** For one attempt. */
export const DEADLINE_MS = 10_000;
/** A browser delivers 64 KiB after its page has gone, and a character has up to three bytes. */
const KEEPALIVE_MAX_CHARS = 20_000;

export interface Exchange {
  /** With or without a slash at its end. */
  baseUrl: string;
  path: string;
  headers: Record<string, string>;
  /** POST where there is a body, GET where not. */
  method?: string;
  body?: unknown;
}

/** One attempt. */
export function exchange(
  // Looked up late: a page may replace its fetch.
  send: typeof fetch = (...request) => fetch(...request),
  { baseUrl, path, headers, method, body }: Exchange,
): Promise<Response> {
  const json: string | undefined = JSON.stringify(body);
  const init = {
    method: json ? "POST" : method,
    headers: json ? { ...headers, "content-type": "application/json" } : headers,
    body: json,
    keepalive: json?.length < KEEPALIVE_MAX_CHARS,
    signal: AbortSignal.timeout(DEADLINE_MS),
  };
  return send(baseUrl.replace(/\/$/, "") + path, init as RequestInit);
}

/**
 * Sends, and returns the answer's body. What may pass (`transient`) is tried again, later
 * than `Retry-After` says and at a random moment, so that clients that failed together do not
 * return together. Whatever is sent must therefore count once however often it arrives.
 *
 * @throws {PlgError}
 */
export async function sendWithRetries(send: () => Promise<Response>): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    let error: PlgError;
    let pause = BACKOFF_MS * 2 ** attempt * (1 - Math.random() / 2);
    try {
      const response = await send();
      if (response.ok) return await response.json();
      error = PlgError.of(response.status, await response.json().catch(() => ({})));
      pause += 1000 * (Number(response.headers.get("retry-after")) || 0);
    } catch (cause) {
      error = new PlgError(0, "unreachable", reason(cause), undefined, { cause });
    }
    if (!error.transient || attempt === RETRIES_MAX || pause > PAUSE_MAX_MS) throw error;
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

const reason = (cause: unknown) => (cause as Error | undefined)?.message ?? `${cause}`;
