/** Who is signed in. Your own login goes here: a cookie, Auth.js, Clerk, … */
export async function currentUser() {
  return {
    hotelId: "6f1f64b4-0000-4000-8000-000000000001",
    userId: "6f1f64b4-0000-4000-8000-0000000000aa",
  };
}
