import type { Problem, ProblemCode } from "./types.js";

/**
 * Why a call failed: what the service says, or `unreachable` (no answer, or no token to ask with),
 * or `unexpected_answer` (somebody else answered, such as a proxy).
 */
export type ErrorCode = ProblemCode | "unreachable" | "unexpected_answer";

/** What a failed call throws. `code` is stable; `message` says what to change. */
export class PlgError extends Error {
  override readonly name: string = "PlgError";

  constructor(
    /** The HTTP status; 0 where there was no answer. */
    readonly status: number,
    readonly code: ErrorCode,
    message: string,
    /** The whole answer, where the service answered. */
    readonly problem?: Problem,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
  }

  /**
   * Whether the same call may succeed in a while: nobody answered, or too much is going on, or the
   * service is away and a proxy says so (502, 504, and 500 from Next.js).
   */
  get transient(): boolean {
    const byProxy = this.status >= 500 && !this.problem;
    return byProxy || [0, 429, 503].includes(this.status);
  }

  /** An error of the service as it stands in its answer; others answer with JSON, too. */
  static of(status: number, answer?: Problem | null): PlgError {
    return /^urn:plg:problem:/.test(answer?.type!)
      ? new PlgError(status, answer!.code, answer!.detail, answer!)
      : new PlgError(status, "unexpected_answer", `HTTP ${status}`);
  }
}
