import type { Client } from "../client.js";
import type { PlgError } from "../errors.js";
import type { Usage } from "../types.js";

export interface UsageState {
  /** The current month, as the service last told it. */
  usage?: Usage;
  /** Nothing has been told yet. */
  loading: boolean;
  /** Why the last read failed; `usage` may still hold what was told before. */
  error?: PlgError;
}

export interface UsageStore {
  get(): UsageState;
  subscribe(listener: () => void): () => void;
  refresh(): Promise<void>;
}

export const LOADING: UsageState = { loading: true };

/** When somebody may look at figures that have grown old: another tab, a sleep or the month's end lie between. */
const RETURNS = ["online", "visibilitychange", "pageshow"];
/** They come together, and in a network that fails often. */
const RETURN_GAP_MS = 1_000;

/** One reading of the usage, shared by all components that show a part of it. */
export function createUsageStore(client: Client): UsageStore {
  const listeners = new Set<() => void>();
  let state = LOADING;
  let latest = 0;
  let shown = 0;
  let underway = 0;
  let returnedAt = 0;

  const set = (next: UsageState) => {
    state = next;
    for (const listener of listeners) listener();
  };
  const refresh = async () => {
    const ticket = ++latest;
    underway++;
    let next: UsageState;
    try {
      next = { usage: await client.getUsage(), loading: false };
    } catch (error) {
      next = { ...state, loading: false, error: error as PlgError };
    }
    underway--;
    // An answer that was overtaken is older than what is shown; a failure tells of the latest request only.
    if (next.error ? ticket !== latest : ticket < shown) return;
    if (!next.error) shown = ticket;
    set(next);
  };
  const onReturn = (event: Event) => {
    // A page that is shown for the first time has just begun to read.
    const isNew = (event as Partial<PageTransitionEvent>).persisted === false;
    if (document.hidden || isNew || Math.abs(Date.now() - returnedAt) < RETURN_GAP_MS) return;
    returnedAt = Date.now();
    void refresh();
  };

  return {
    get: () => state,
    subscribe(listener) {
      if (listeners.size === 0) {
        // The first to look. StrictMode looks, looks away and looks again: that is one request.
        if (underway === 0) void refresh();
        for (const type of RETURNS) globalThis.addEventListener?.(type, onReturn);
      }
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        for (const type of RETURNS) globalThis.removeEventListener?.(type, onReturn);
      };
    },
    refresh,
  };
}
