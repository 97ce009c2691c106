import type { ClientOptions, TokenForPage } from "./client.js";
import { exchange, sendWithRetries, trimSlash } from "./http.js";
import { getSessionId } from "./session.js";

/** Whom a session token names. */
export type Ids = Pick<TokenForPage, "hotel_id" | "user_id">;

/** A call in the name of whoever the token names. */
export type Call = (path: (ids: Ids) => string, body?: (ids: Ids) => unknown) => Promise<unknown>;

/** Calls share one token. When it has expired it is renewed once, and all of them wait for that. */
export function connect({ baseUrl, getToken, fetch: send }: ClientOptions): Call {
  let session: Promise<TokenForPage> | undefined;

  const open = () =>
    Promise.resolve()
      .then(getToken)
      .then((page) => {
        // Such as the error of a backend, whose status nobody has looked at.
        if (!page?.token) throw new Error("getToken gave no token");
        return page;
      })
      .catch((error) => {
        session = undefined;
        throw error;
      });

  return (path, body) => {
    const attempt = async (mayRenew: 0 | 1): Promise<Response> => {
      const used = (session ??= open());
      const { token, hotel_id, user_id } = await used;
      const ids = { hotel_id, user_id };
      const url = trimSlash(baseUrl) + path(ids);
      const headers = { "x-session-id": getSessionId() };
      const response = await exchange(send, { url, token, headers, body: body?.(ids) });
      if (response.status !== 401 || !mayRenew) return response;
      // Another call may have renewed it meanwhile.
      if (session === used) session = undefined;
      return attempt(0);
    };
    return sendWithRetries(() => attempt(1));
  };
}
