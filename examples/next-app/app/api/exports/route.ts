import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Your own export. */
async function doExport(id: string) {
  console.log(`export ${id} is done`);
}

/** Exports the report, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    const { outcome, quota } = await plg().recordExport({
      ...user,
      exportId: id,
      sessionId,
    });
    // A page chooses its own ids: whoever sends one again has had it done, and gets no other.
    if (outcome === "recorded") await doExport(id);
    return Response.json({ remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
