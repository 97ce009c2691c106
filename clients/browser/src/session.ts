import { newId } from "./id.js";

const KEY = "plg_session_id";
/** Whose it is, as soon as somebody has signed in. */
const OWNER = "plg_user_id";

/** The session of a page whose storage is full or forbidden: it lasts as long as the page. */
let unstored: string | undefined;

/**
 * The id of this browser session: one for each tab, kept over reloads.
 *
 * On a server every call is a session of its own, since visitors share the process there.
 */
export function getSessionId(): string {
  if (!globalThis.document) return newId();
  try {
    return (sessionStorage[KEY] ??= unstored ?? newId());
  } catch {
    return (unstored ??= newId());
  }
}

/** A session is one user's: whoever comes next in this tab begins another. */
export function claimSession(user: string): void {
  try {
    if ((sessionStorage[OWNER] ??= user) !== user) delete sessionStorage[KEY];
    sessionStorage[OWNER] = user;
  } catch {
    // Nothing is stored that somebody else could find.
  }
}
