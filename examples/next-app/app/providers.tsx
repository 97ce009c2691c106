"use client";

import { createClient } from "@plg/client";
import { PlgProvider } from "@plg/client/react";
import type { ReactNode } from "react";

const plg = createClient({ baseUrl: "/plg", getToken });

async function getToken() {
  const response = await fetch("/api/plg-token", { method: "POST" });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

export function Providers({ children }: { children: ReactNode }) {
  return <PlgProvider client={plg}>{children}</PlgProvider>;
}
