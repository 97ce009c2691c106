import { currentUser } from "@/lib/login";
import { errorResponse, plg } from "@/lib/plg";

/** Gives the page of a signed-in user a token for the service. */
export async function POST() {
  try {
    return Response.json(await plg().createSessionToken(await currentUser()));
  } catch (error) {
    return errorResponse(error);
  }
}
