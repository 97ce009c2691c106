import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Imports the bookings, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    const { quota } = await plg().recordImport({
      ...user,
      jobId: id,
      sessionId,
    });
    return Response.json({ remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
