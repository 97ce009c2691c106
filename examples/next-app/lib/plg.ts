import { readFileSync } from "node:fs";
import { PlgError, QuotaExceededError, createServerClient } from "@plg/client/server";
import { PLG_URL } from "./settings";

/** The development key, which `cargo run` makes on its first start. */
const KEY_FILE = "../../data/plg.db.key";

function serviceKey(): string {
  if (process.env.PLG_SERVICE_KEY) return process.env.PLG_SERVICE_KEY;
  try {
    return readFileSync(KEY_FILE, "utf8").trim();
  } catch {
    throw new Error(
      "No service key yet. Start `cargo run` in the repository: it makes data/plg.db.key. " +
        "Or set PLG_SERVICE_KEY.",
    );
  }
}

/** Our side of the service. Only route handlers and server components may import this. */
export const plg = () => createServerClient({ baseUrl: PLG_URL, serviceKey: serviceKey() });

/** Answers a page with what went wrong; the upgrade modal shows a refusal. */
export function errorResponse(error: unknown): Response {
  if (error instanceof QuotaExceededError) {
    const { quota, used, limit, resetsAt } = error;
    return Response.json({ quota, used, limit, resetsAt }, { status: 402 });
  }
  console.error(error);
  const away = error instanceof PlgError && error.code === "unreachable";
  const message = away
    ? `The service does not answer at ${PLG_URL}. Start it with \`cargo run\`.`
    : (error as Error).message;
  return Response.json({ message }, { status: 503 });
}
