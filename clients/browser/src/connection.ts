import type { ClientOptions, TokenForPage } from "./client.js";
import { DEADLINE_MS, exchange, sendWithRetries, trimSlash } from "./http.js";
import { getSessionId } from "./session.js";

/** Whom a session token names. */
export type Ids = Pick<TokenForPage, "hotel_id" | "user_id">;

/** A call in the name of whoever the token names. */
export type Call = (path: (ids: Ids) => string, body?: (ids: Ids) => unknown) => Promise<unknown>;

/** Calls share one token. When it has expired it is renewed once, and all of them wait for that. */
export function connect({ baseUrl, getToken, fetch: send }: ClientOptions): Call {
  let session: TokenForPage | undefined;
  let opening: Promise<TokenForPage> | undefined;

  const ask = async () => {
    const page = await inTime(getToken);
    // Such as the error of a backend, whose status nobody has looked at.
    if (!page?.token) throw new Error("getToken gave no token");
    return (session = page);
  };
  const open = () => (opening ??= ask().finally(() => (opening = undefined)));

  return (path, body) => {
    const attempt = async (mayRenew: 0 | 1): Promise<Response> => {
      const used = session ?? (await open());
      const { token, hotel_id, user_id } = used;
      const ids = { hotel_id, user_id };
      const url = trimSlash(baseUrl) + path(ids);
      const headers = { authorization: `Bearer ${token}`, "x-session-id": getSessionId() };
      const response = await exchange(send, { url, headers, body: body?.(ids) });
      if (response.status !== 401 || !mayRenew) return response;
      // Another call may have renewed it meanwhile.
      if (session === used) session = undefined;
      return attempt(0);
    };
    return sendWithRetries(() => attempt(1));
  };
}

/** A backend that does not answer is one that is away. */
function inTime<T>(getToken: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, DEADLINE_MS, new Error("getToken gave no answer"));
    const answer = Promise.resolve().then(getToken);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
