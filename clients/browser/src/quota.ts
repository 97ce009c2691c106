import type { Quota } from "./types.js";

/** At least 80 % of the limit is used: the service's own rule, in whole numbers. */
export function isNearLimit(quota: Pick<Quota, "used" | "limit">): boolean {
  return quota.limit !== null && quota.used * 100 >= quota.limit * 80;
}
