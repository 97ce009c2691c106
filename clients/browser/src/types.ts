/** The service's types under the names that this package speaks of. All of them are generated. */
import type { components } from "./generated/openapi.js";

type Schemas = components["schemas"];

export type EventType = Schemas["EventType"];
export type EventData = Schemas["EventData"];
export type EventResult = Schemas["EventResult"];
export type Outcome = Schemas["Outcome"];
/** `imports`, `exports` or `active_users`. */
export type QuotaName = Schemas["Counter"];
/** Used against limit; a limit of `null` is unlimited. */
export type Quota = Schemas["Quota"];
export type QuotaCheck = Schemas["QuotaCheck"];
export type Usage = Schemas["Usage"];
/** An error as the service tells it (RFC 9457). */
export type Problem = Schemas["Problem"];
/** The stable name of an error. */
export type ProblemCode = Schemas["Code"];

/**
 * The events that a browser may send. All others are refused, and belong into the backend. The
 * document does not say which they are: a test asks the service.
 */
export type BrowserEventType = Extract<
  EventType,
  | "playbook_open"
  | "upgrade_click"
  | "create_hotel_attempt"
  | "paywall_view"
  | "dashboard_view_session"
  | "pricing_tab_session_view"
  | "pricing_quote_run"
>;

/** A token for a browser, and whom it names. */
export type SessionToken = Schemas["SessionToken"];
