/**
 * The time and 128 random bits as text, so that the service keeps ids of the same time side by side.
 *
 * `crypto.randomUUID` exists on HTTPS pages only, this everywhere.
 */
export function newId(): string {
  const parts = [Date.now(), ...crypto.getRandomValues(new Uint32Array(4))];
  return parts.map((n) => n.toString(36).padStart(7, "0")).join("");
}
