import { newId } from "./id.js";

const KEY = "plg_session_id";
/** Whose it is, as soon as somebody has signed in. */
const OWNER = "plg_user_id";

/** Of a page whose storage is full or forbidden: it lasts as long as the page. */
const unstored: Record<string, string> = {};

const inStorage = <Result>(use: (storage: Record<string, string>) => Result) => {
  try {
    return use(sessionStorage);
  } catch {
    return use(unstored);
  }
};

/**
 * The id of this browser session: one for each tab, kept over reloads.
 *
 * On a server every call is a session of its own, since visitors share the process there.
 */
export const getSessionId = (): string =>
  globalThis.document
    ? inStorage((storage) => (storage[KEY] ??= unstored[KEY] ?? newId()))
    : newId();

/** The session of this user: whoever comes next in a tab begins another. */
export const claimSession = (user: string): string => {
  inStorage((storage) => {
    if ((storage[OWNER] ?? unstored[OWNER] ?? user) !== user) {
      storage[KEY] = newId();
    }
    storage[OWNER] = user;
  });
  return getSessionId();
};
