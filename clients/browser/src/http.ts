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

/**
 * One attempt. The arguments have no names, which every page would have to load.
 *
 * @param baseUrl with or without a slash at its end
 * @param json the body, as text: who gives what is no JSON is told so, and not that nobody answers
 * @param method POST where there is a body, GET where not
 */
export function exchange(
  // Looked up late: a page may replace its fetch.
  send: typeof fetch = (...request) => fetch(...request),
  baseUrl: string,
  path: string,
  headers: Record<string, string>,
  json?: string,
  method?: string,
): Promise<Response> {
  const init = {
    method: json ? "POST" : method,
    headers: json ? { ...headers, "content-type": "application/json" } : headers,
    body: json,
    keepalive: json && json.length < KEEPALIVE_MAX_CHARS,
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
      error = PlgError.of(response.status, await response.json().catch(() => {}));
      pause += 1000 * (+response.headers.get("retry-after")! || 0);
    } catch (cause) {
      const reason = (cause as Error | undefined)?.message ?? `${cause}`;
      error = new PlgError(0, "unreachable", reason, undefined, { cause });
    }
    if (!error.transient || attempt === RETRIES_MAX || pause > PAUSE_MAX_MS) throw error;
    await new Promise((resume) => setTimeout(resume, pause));
  }
}
