/** For the app's backend. It runs wherever `fetch` does: Node.js, edge runtimes, workers. */
import { PlgError } from "./errors.js";
import { exchange, sendWithRetries } from "./http.js";
import { newId } from "./id.js";
import type {
  EventData,
  EventResult,
  Problem,
  QuotaCheck,
  QuotaName,
  SessionToken,
  Usage,
} from "./types.js";

export { PlgError };
export type { ErrorCode } from "./errors.js";
export type {
  EventData,
  EventResult,
  Problem,
  Quota,
  QuotaCheck,
  QuotaName,
  SessionToken,
  Usage,
} from "./types.js";

export interface ServerClientOptions {
  /** Where the service is, such as `https://plg.example`. */
  baseUrl: string;
  /** A key that `ingest-api keys create` printed. Never give it to a browser. */
  serviceKey: string;
  fetch?: typeof fetch | undefined;
}

/** What every action says. */
export interface ActionOptions {
  hotelId: string;
  /** Who did it. */
  userId: string;
  /**
   * The browser's session, from the request's `X-Session-Id`: a refusal is then logged once per
   * session.
   */
  sessionId?: string | null | undefined;
  /** At most 8 KiB of JSON. */
  eventData?: EventData | undefined;
}

export interface ServerClient {
  /**
   * Records an import; counted once per `jobId`, so it may be sent again.
   * @throws {QuotaExceededError} when the month's quota is used up
   * @throws {PlgError}
   */
  recordImport(options: ActionOptions & { jobId: string }): Promise<EventResult>;
  /**
   * Records an export; counted once per `exportId`.
   * @throws {QuotaExceededError} when the month's quota is used up
   * @throws {PlgError}
   */
  recordExport(options: ActionOptions & { exportId: string }): Promise<EventResult>;
  /**
   * Grants a seat; counted once while it is held.
   * @throws {QuotaExceededError} when no seat is left
   * @throws {PlgError}
   */
  addSeat(options: ActionOptions & { seatUserId: string }): Promise<EventResult>;
  /**
   * Gives a seat up.
   * @throws {PlgError}
   */
  removeSeat(
    options: Omit<ActionOptions, "eventData"> & { seatUserId: string },
  ): Promise<EventResult>;
  /**
   * One quota of this month: a free check, which reserves nothing.
   * @throws {PlgError}
   */
  checkQuota(options: { hotelId: string; quota: QuotaName }): Promise<QuotaCheck>;
  /**
   * The quotas of a month (`2026-11`), the current one by default.
   * @throws {PlgError}
   */
  getUsage(options: { hotelId: string; month?: string | undefined }): Promise<Usage>;
  /**
   * A token with which a browser may act as this user at this hotel. Answer your page with it, once
   * you know who is signed in.
   * @throws {PlgError}
   */
  createSessionToken(options: { hotelId: string; userId: string }): Promise<SessionToken>;
}

/** The quota has no unit left: the action was not recorded, and counts nothing. */
export class QuotaExceededError extends PlgError {
  override readonly name = "QuotaExceededError";
  readonly quota: QuotaName;
  readonly used: number;
  readonly limit: number;
  /** When the month ends at the hotel. Seats are held beyond it: do not tell who wants one to wait for that. */
  readonly resetsAt: Date;

  constructor(problem: Problem) {
    super(402, problem.code, problem.detail, problem);
    this.quota = problem.quota!;
    this.used = problem.used!;
    this.limit = problem.limit!;
    this.resetsAt = new Date(problem.resets_at!);
  }
}

type Call = {
  path: string;
  method?: string;
  body?: unknown;
  sessionId?: string | null | undefined;
  idempotencyKey?: string;
};

/** A client for a backend. It holds nothing, and may be created per process or per request. */
export function createServerClient(options: ServerClientOptions): ServerClient {
  const call = async <T>({ path, method, body, sessionId, idempotencyKey }: Call): Promise<T> => {
    const headers: Record<string, string> = { authorization: `Bearer ${options.serviceKey}` };
    if (sessionId) headers["x-session-id"] = sessionId;
    if (idempotencyKey) headers["idempotency-key"] = idempotencyKey;
    const json = JSON.stringify(body);
    try {
      const send = () => exchange(options.fetch, options.baseUrl, path, headers, json, method);
      return (await sendWithRetries(send)) as T;
    } catch (error) {
      const { code, problem } = error as PlgError;
      throw code === "quota_exceeded" && problem ? new QuotaExceededError(problem) : error;
    }
  };
  const act = (resource: string, action: ActionOptions, key: object) => {
    const { hotelId, userId, sessionId, eventData } = action;
    const body = { ...key, user_id: userId, event_data: eventData };
    const path = hotelPath(hotelId, resource);
    // A retry after a lost answer is told what the first try was told: `recorded`.
    return call<EventResult>({ path, body, sessionId, idempotencyKey: newId() });
  };

  return {
    recordImport: (action) => act("imports", action, { job_id: action.jobId }),
    recordExport: (action) => act("exports", action, { export_id: action.exportId }),
    addSeat: (action) => act("seats", action, { seat_user_id: action.seatUserId }),
    removeSeat: ({ hotelId, seatUserId, userId, sessionId }) => {
      const seat = hotelPath(hotelId, "seats", seatUserId);
      const path = `${seat}?user_id=${encodeURIComponent(userId)}`;
      // By then a colleague may have granted the seat again: a retry must not take that away.
      return call({ path, method: "DELETE", sessionId, idempotencyKey: newId() });
    },
    checkQuota: ({ hotelId, quota }) => call({ path: hotelPath(hotelId, "quotas", quota) }),
    getUsage: ({ hotelId, month }) => {
      const query = month ? `?month=${encodeURIComponent(month)}` : "";
      return call({ path: hotelPath(hotelId, "usage") + query });
    },
    createSessionToken: ({ hotelId, userId }) => {
      const body = { hotel_id: hotelId, user_id: userId };
      return call({ path: "/v1/session-tokens", body });
    },
  };
}

/** Ids often come from a request: none of them may lead elsewhere. */
function hotelPath(...segments: string[]): string {
  return `/v1/hotels/${segments.map(encodeURIComponent).join("/")}`;
}
