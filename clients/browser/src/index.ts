export { createClient } from "./client.js";
export type { Client, ClientOptions, TokenForPage, TrackOptions } from "./client.js";
export { PlgError } from "./errors.js";
export type { ErrorCode } from "./errors.js";
export { isNearLimit } from "./quota.js";
export { getSessionId } from "./session.js";
export type {
  BrowserEventType,
  EventData,
  EventResult,
  Outcome,
  Problem,
  ProblemCode,
  Quota,
  QuotaName,
  Usage,
} from "./types.js";
