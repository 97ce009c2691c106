import type { ClientOptions, TokenForPage } from "./client.js";
import { DEADLINE_MS, exchange, sendWithRetries } from "./http.js";
import { claimSession } from "./session.js";

/** Whom a session token names. */
export type Ids = Pick<TokenForPage, "hotel_id" | "user_id">;

export interface Connection {
  /** A call in the name of whoever the token names. */
  call(request: (ids: Ids) => [path: string, body?: unknown]): Promise<unknown>;
  /** Asks for no more tokens, which may be somebody else's. */
  close(): void;
}

/** A token is renewed so long before it expires, so that a second try is in time. */
const EARLY_MS = 120_000;
/** How often to look whether it is time: a long timer stands still while a machine sleeps. */
const LOOK_MS = 30_000;

/**
 * Calls share one token. It is there before it is needed while somebody looks at the page: an event
 * of the moment in which the page is left cannot wait for one. When it has expired nevertheless, it
 * is renewed once, and all calls wait for that.
 */
export function connect({ baseUrl, getToken, fetch: send }: ClientOptions): Connection {
  let session: TokenForPage | undefined;
  let who: string | undefined;
  let sessionId: string;
  let opening: Promise<TokenForPage> | undefined;
  let renewAt = 0;
  let pause = LOOK_MS;
  let deadline: ReturnType<typeof setTimeout>;
  let timer: ReturnType<typeof setInterval>;
  /** None on a server. TypeScript does not know of pages that are made ready in advance. */
  const page = globalThis.document as (Document & { prerendering?: boolean }) | undefined;

  const keep = (given: TokenForPage | void) => {
    // Such as the error of a backend, whose status nobody has looked at; or nothing, in time.
    if (!given?.token) throw new Error("getToken gave no token");
    // What the client holds is the first one's, and would be recorded for the other.
    const named = given.hotel_id + given.user_id;
    if ((who ??= named) !== named) throw new Error("the token names another user or hotel");
    // What is under way when somebody else signs in stays in the session of whoever did it.
    sessionId = claimSession(given.user_id);
    // Not at once again where the clock is far ahead; and never where no time is told.
    renewAt = Math.max(Date.now() + 2 * LOOK_MS, Date.parse(given.expires_at!) - EARLY_MS);
    pause = LOOK_MS;
    return (session = given);
  };
  /** A backend that does not answer is one that is away. */
  const open = () =>
    (opening ??= new Promise<TokenForPage | void>((resolve, reject) => {
      deadline = setTimeout(resolve, DEADLINE_MS);
      Promise.resolve().then(getToken).then(resolve, reject);
    })
      .then(keep)
      .finally(() => {
        clearTimeout(deadline);
        opening = undefined;
      }));
  const look = () => {
    if (page!.hidden || !(Date.now() >= renewAt)) return;
    // Unless it succeeds: the pauses between failures double.
    renewAt = Date.now() + (pause *= 2);
    open().catch(() => {});
  };
  // Nobody looks at a server.
  if (page) {
    page.addEventListener("visibilitychange", look);
    timer = setInterval(look, LOOK_MS);
    look();
  }

  const call: Connection["call"] = async (request) => {
    // Nobody may ever see this page, and what it stores by then is thrown away.
    if (page?.prerendering) {
      await new Promise((resume) => page.addEventListener("prerenderingchange", resume));
    }
    const attempt = async (mayRenew: 0 | 1): Promise<Response> => {
      const used = session ?? (await open());
      const [path, body] = request(used);
      const headers = { authorization: `Bearer ${used.token}`, "x-session-id": sessionId };
      const response = await exchange(send, baseUrl, path, headers, JSON.stringify(body));
      if (response.status !== 401 || !mayRenew) return response;
      // Another call may have renewed it meanwhile.
      if (session === used) session = undefined;
      return attempt(0);
    };
    return sendWithRetries(() => attempt(1));
  };
  const close = () => {
    clearInterval(timer);
    // A first token that is under way may be the next one's already.
    who ??= "";
    getToken = () => {
      throw new Error("the client is closed");
    };
  };
  return { call, close };
}
