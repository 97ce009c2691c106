/** 128 random bits as text. `crypto.randomUUID` exists on HTTPS pages only, this everywhere. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}
