"use client";

import { getSessionId } from "@plg/client";
import { useAction } from "@plg/client/react";
import { useState } from "react";
import { type Refusal, UpgradeModal } from "./upgrade-modal";

const DONE = { imports: "Bookings imported", exports: "Report exported" };
type Kind = keyof typeof DONE;

/** Of this tab and moment: `crypto.randomUUID()` is missing on pages of plain HTTP. */
const newId = () => `${getSessionId()}-${Date.now()}`;

/** The same user's id until it has succeeded, over reloads too, so that it counts once. The session goes along, so that a refusal is logged once per session. */
async function ask(kind: Kind): Promise<Response> {
  const headers = {
    "Content-Type": "application/json",
    "X-Session-Id": getSessionId(),
  };
  const key = `trying_${kind} ${getSessionId()}`;
  const id = sessionStorage.getItem(key) ?? newId();
  sessionStorage.setItem(key, id);
  const body = JSON.stringify({ id });
  const response = await fetch(`/api/${kind}`, { method: "POST", headers, body });
  // A late answer is none to what was begun after it.
  if (response.ok && sessionStorage.getItem(key) === id) sessionStorage.removeItem(key);
  return response;
}

export function Actions() {
  const [busy, setBusy] = useState<Kind[]>([]);
  const [message, setMessage] = useState("");
  const [refusal, setRefusal] = useState<Refusal>();

  const run = useAction(async (kind: Kind) => {
    setBusy((kinds) => [...kinds, kind]);
    setMessage("");
    const response = await ask(kind).catch(() => undefined);
    setBusy((kinds) => kinds.filter((other) => other !== kind));
    if (response?.status === 402) return setRefusal(await response.json());
    setMessage(response?.ok ? DONE[kind] : "That did not work. Please try again.");
  });

  return (
    <div className="actions">
      <output>{message}</output>
      <button onClick={() => run("imports")} disabled={busy.includes("imports")}>
        Import bookings
      </button>
      <button
        className="primary"
        onClick={() => run("exports")}
        disabled={busy.includes("exports")}
      >
        Export report
      </button>
      {refusal && <UpgradeModal refusal={refusal} onClose={() => setRefusal(undefined)} />}
    </div>
  );
}
