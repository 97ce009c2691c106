"use client";

import { usePlgClient, useTrackView, useUsage } from "@plg/client/react";
import { useRouter } from "next/navigation";
import { useEffect, useRef } from "react";
import { day } from "@/lib/format";

/** What the backend answers with 402. */
export interface Refusal {
  quota: "imports" | "exports";
  used: number;
  limit: number;
  resetsAt: string;
}

export function UpgradeModal({ refusal, onClose }: { refusal: Refusal; onClose: () => void }) {
  useTrackView("paywall_view");
  const plg = usePlgClient();
  const { usage } = useUsage();
  const router = useRouter();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);

  const upgrade = () => {
    void plg.track("upgrade_click", { eventData: { quota: refusal.quota } });
    router.push("/pricing");
  };

  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="upgrade-title">
      <span className="modal-icon" aria-hidden>
        ↑
      </span>
      <h2 id="upgrade-title">
        You have used all {refusal.limit} {refusal.quota} of this month
      </h2>
      <p>
        Upgrade to go on now. Otherwise your {refusal.quota} reset on{" "}
        {day(refusal.resetsAt, usage?.time_zone)}.
      </p>
      <div className="modal-actions">
        <button onClick={() => dialog.current?.close()}>Not now</button>
        <button className="primary" onClick={upgrade} autoFocus>
          See plans
        </button>
      </div>
    </dialog>
  );
}
