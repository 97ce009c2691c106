import { once } from "@/lib/jobs";
import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Your own import, which may fail. */
async function importBookings(id: string) {
  return `bookings of ${id}`;
}

/** Imports the bookings, and records it: counted once per id, however often the page asks. */
export async function POST(request: Request) {
  try {
    const { id } = await request.json();
    const sessionId = request.headers.get("x-session-id");
    const user = await currentUser();
    // Here refuse what cannot succeed: what is recorded stays counted.
    const { quota } = await plg().recordImport({
      ...user,
      jobId: id,
      sessionId,
    });
    // Counted now, or by an earlier try that failed afterwards: our table knows what is left to do.
    // A page chooses its own ids: whoever sends one again has had it done, and gets no other.
    const imported = await once(`${user.hotelId}/imports/${id}`, () => importBookings(id));
    return Response.json({ imported, remaining: quota?.remaining });
  } catch (error) {
    return errorResponse(error);
  }
}
