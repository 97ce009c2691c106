"use client";

import { useQuota } from "@plg/client/react";

type QuotaName = Parameters<typeof useQuota>[0];

export function Meter({ quota, label }: { quota: QuotaName; label: string }) {
  const { used, limit, remaining, nearLimit, exceeded, loading } = useQuota(quota);
  const state = exceeded ? "exceeded" : nearLimit ? "near" : "ok";
  const share = limit ? Math.min(100, ((used ?? 0) / limit) * 100) : exceeded ? 100 : 0;
  return (
    <div
      className="meter"
      data-state={state}
      role="meter"
      aria-label={label}
      aria-valuenow={used ?? 0}
      aria-valuemin={0}
      aria-valuemax={limit ?? undefined}
    >
      <div className="meter-label">
        {label}
        <span>{loading ? "…" : amount(used, limit)}</span>
      </div>
      <div className="track">
        <span style={{ width: `${share}%` }} />
      </div>
      {state !== "ok" && <p>{exceeded ? "Nothing left this month" : `Only ${remaining} left`}</p>}
    </div>
  );
}

function amount(used?: number, limit?: number | null): string {
  if (used === undefined) return "–";
  return limit === null ? `${used} · unlimited` : `${used} of ${limit}`;
}
