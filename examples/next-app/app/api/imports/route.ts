import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Your own import. */
async function doImport(id: string) {
  console.log(`import ${id} is done`);
}

/** Imports the bookings, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    const { outcome, quota } = await plg().recordImport({
      ...user,
      jobId: id,
      sessionId,
    });
    // A page chooses its own ids: whoever sends one again has had it done, and gets no other.
    if (outcome === "recorded") await doImport(id);
    return Response.json({ remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
