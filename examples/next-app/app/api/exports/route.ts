import { once } from "@/lib/jobs";
import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Your own export, which may fail. */
async function makeReport(id: string) {
  return `report ${id}`;
}

/** Exports the report, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    // Here refuse what cannot succeed: what is recorded stays counted.
    const { quota } = await plg().recordExport({
      ...user,
      exportId: id,
      sessionId,
    });
    // Counted now, or by an earlier try that failed afterwards: our table knows what is left to do.
    // A page chooses its own ids: whoever sends one again gets the same report, and no other.
    const report = await once(`${user.hotelId}/exports/${id}`, () => makeReport(id));
    return Response.json({ report, remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
