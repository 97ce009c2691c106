/** Who is signed in to the example app, and to the plain page. */
export const HOTEL = "6f1f64b4-0000-4000-8000-000000000001";
export const USER = "6f1f64b4-0000-4000-8000-0000000000aa";

export const ROOT_KEY = "a-root-key-for-the-browser-tests-only";
