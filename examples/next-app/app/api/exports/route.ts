import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Exports the report, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    const { quota } = await plg().recordExport({
      ...user,
      exportId: id,
      sessionId,
    });
    return Response.json({ remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
