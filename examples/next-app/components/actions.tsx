"use client";

import { getSessionId } from "@plg/client";
import { useAction } from "@plg/client/react";
import { useState } from "react";
import { type Refusal, UpgradeModal } from "./upgrade-modal";

const DONE = { imports: "Bookings imported", exports: "Report exported" };
type Kind = keyof typeof DONE;

/** What is being tried: the same id until it has succeeded, so that it counts once. */
const jobs: Partial<Record<Kind, string>> = {};

/** The session goes along, so that a refusal is logged once per session. */
async function ask(kind: Kind): Promise<Response> {
  const headers = {
    "Content-Type": "application/json",
    "X-Session-Id": getSessionId(),
  };
  const body = JSON.stringify({ id: (jobs[kind] ??= crypto.randomUUID()) });
  const response = await fetch(`/api/${kind}`, { method: "POST", headers, body });
  if (response.ok) delete jobs[kind];
  return response;
}

export function Actions() {
  const [busy, setBusy] = useState<Kind>();
  const [message, setMessage] = useState("");
  const [refusal, setRefusal] = useState<Refusal>();

  const run = useAction(async (kind: Kind) => {
    setBusy(kind);
    setMessage("");
    const response = await ask(kind).catch(() => undefined);
    setBusy(undefined);
    if (response?.status === 402) return setRefusal(await response.json());
    setMessage(response?.ok ? DONE[kind] : "That did not work. Please try again.");
  });

  return (
    <div className="actions">
      <output>{message}</output>
      <button onClick={() => run("imports")} disabled={busy === "imports"}>
        Import bookings
      </button>
      <button className="primary" onClick={() => run("exports")} disabled={busy === "exports"}>
        Export report
      </button>
      {refusal && <UpgradeModal refusal={refusal} onClose={() => setRefusal(undefined)} />}
    </div>
  );
}
