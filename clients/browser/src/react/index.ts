"use client";

/** Hooks for React 18 and later. Nothing here runs on the server, except for rendering. */
import {
  type ReactElement,
  type ReactNode,
  createContext,
  createElement,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from "react";
import type { Client } from "../client.js";
import type { PlgError } from "../errors.js";
import type { BrowserEventType, QuotaName } from "../types.js";
import { LOADING, type UsageState, type UsageStore, createUsageStore } from "./usage-store.js";

export type { UsageState } from "./usage-store.js";

interface Plg {
  client: Client;
  store: UsageStore;
}

const PlgContext = createContext<Plg | undefined>(undefined);

export interface PlgProviderProps {
  /** Of `createClient`, created once outside your components. */
  client: Client;
  children?: ReactNode;
}

/** Gives the client to the components inside, and lets them share one reading of the usage. */
export function PlgProvider({ client, children }: PlgProviderProps): ReactElement {
  const plg = useMemo(() => ({ client, store: createUsageStore(client) }), [client]);
  return createElement(PlgContext.Provider, { value: plg }, children);
}

function usePlg(): Plg {
  const plg = useContext(PlgContext);
  if (!plg) throw new Error("plg: this component needs a <PlgProvider client={…}> around it");
  return plg;
}

/** The client of the provider, for events that are no views: `plg.track("upgrade_click")`. */
export function usePlgClient(): Client {
  return usePlg().client;
}

/** Logs that the component was seen: once for each time that it appears on the page. */
export function useTrackView(eventType: BrowserEventType): void {
  const { client } = usePlg();
  const seen = useRef<{ client: Client; eventType: BrowserEventType } | undefined>(undefined);
  useEffect(() => {
    // StrictMode runs the effect again at once, with the same ref; what <Activity> has hidden appears later.
    const again = seen.current?.client === client && seen.current.eventType === eventType;
    seen.current = { client, eventType };
    if (!again) void client.track(eventType);
    return () => queueMicrotask(() => (seen.current = undefined));
  }, [client, eventType]);
}

export interface UseUsage extends UsageState {
  /** Reads it again. */
  refresh: () => Promise<void>;
}

/** The hotel's usage in the current month. */
export function useUsage(): UseUsage {
  const { store } = usePlg();
  const state = useSyncExternalStore(store.subscribe, store.get, () => LOADING);
  return { ...state, refresh: store.refresh };
}

export interface UseQuota {
  /** Units used; `undefined` while nothing is known. */
  used: number | undefined;
  /** `null` is unlimited; `undefined` while nothing is known. */
  limit: number | null | undefined;
  /** `null` is unlimited; `undefined` while nothing is known. */
  remaining: number | null | undefined;
  /** At least 80 % is used. False while nothing is known. */
  nearLimit: boolean;
  /** The next action would be refused. False while nothing is known. */
  exceeded: boolean;
  loading: boolean;
  error: PlgError | undefined;
}

/** One quota of the current month. */
export function useQuota(name: QuotaName): UseQuota {
  const { usage, loading, error } = useUsage();
  const quota = usage?.quotas[name];
  return {
    used: quota?.used,
    limit: quota?.limit,
    remaining: quota?.remaining,
    nearLimit: quota?.near_limit ?? false,
    exceeded: quota?.exceeded ?? false,
    loading,
    error,
  };
}

/**
 * Wraps a call of your backend that may move a counter. The quotas are read again after it,
 * whatever became of it.
 */
export function useAction<Arguments extends unknown[], Result>(
  action: (...args: Arguments) => Promise<Result>,
): (...args: Arguments) => Promise<Result> {
  const { store } = usePlg();
  return async (...args) => {
    try {
      return await action(...args);
    } finally {
      void store.refresh();
    }
  };
}
