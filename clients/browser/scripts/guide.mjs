// The files of the README's guide for Next.js, so that what it says is what is tested.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const FILE = /```tsx?\n\/\/ ((?:app\/|next\.config)\S*)\n(.*?)```/gs;

/** Writes them into a folder. */
export async function writeGuide(/** @type {string} */ folder) {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  for (const [, name, code] of readme.matchAll(FILE)) {
    const path = join(folder, /** @type {string} */ (name));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, /** @type {string} */ (code));
  }
}
