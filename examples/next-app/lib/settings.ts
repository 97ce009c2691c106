/** Where `cargo run` serves. */
export const PLG_URL = process.env.PLG_URL ?? "http://127.0.0.1:8080";
