"use client";

import { useUsage } from "@plg/client/react";
import Link from "next/link";
import { day } from "@/lib/format";
import { Meter } from "./meter";

export function UsagePanel() {
  const { usage, error } = useUsage();
  return (
    <aside className="card usage" aria-busy={!usage && !error}>
      <div className="usage-title">
        <h2>Usage this month</h2>
        {usage && <span className="plan">{usage.plan}</span>}
      </div>
      {error && <p className="notice">{error.message}</p>}
      <Meter quota="imports" label="Booking imports" />
      <Meter quota="exports" label="Report exports" />
      <Meter quota="active_users" label="Team seats" />
      <p className="fine">
        <span>{usage && `Resets on ${day(usage.resets_at, usage.time_zone)}`}</span>
        <Link href="/pricing">Compare plans</Link>
      </p>
    </aside>
  );
}
