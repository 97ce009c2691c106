import { newId } from "./id.js";

const KEY = "plg_session_id";

/** The session of a page whose storage is full or forbidden: it lasts as long as the page. */
let unstored: string | undefined;

/**
 * The id of this browser session: one for each tab, kept over reloads.
 *
 * On a server every call is a session of its own, since visitors share the process there.
 */
export function getSessionId(): string {
  if (typeof window === "undefined") return newId();
  try {
    let id = sessionStorage.getItem(KEY);
    if (!id) sessionStorage.setItem(KEY, (id = unstored ?? newId()));
    return id;
  } catch {
    return (unstored ??= newId());
  }
}
