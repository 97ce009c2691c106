// Prints what each entry costs a page, gzipped, beside packages of this kind. All of them are
// bundled and compressed the same way, without React, from a folder that is thrown away.
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OTHERS = ["posthog-js@1.449.2", "@plausible-analytics/tracker@0.4.6", "autumn-js@1.3.13"];

/** @type {[name: string, code: string][]} */
const ENTRIES = [
  ["@plg/client", 'export * from "@plg/client"'],
  ["@plg/client/react", 'export * from "@plg/client/react"'],
  ["@plg/client + /react", 'export * from "@plg/client"; export * from "@plg/client/react"'],
  ["@plg/client/server", 'export * from "@plg/client/server"'],
  ["@plausible-analytics/tracker", 'export * from "@plausible-analytics/tracker"'],
  ["posthog-js", 'export { default } from "posthog-js"'],
  ["autumn-js/react", 'export * from "autumn-js/react"'],
  ["autumn-js (server)", 'export * from "autumn-js"'],
];

const own = fileURLToPath(new URL("..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "sizes-"));
try {
  const npm = (/** @type {string[]} */ ...args) =>
    execFileSync("npm", args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] }).toString();
  await writeFile(join(folder, "package.json"), '{ "private": true }');
  const [packed] = JSON.parse(npm("pack", own, "--json", "--silent"));
  npm("install", "--silent", "--no-audit", "--ignore-scripts", packed.filename, "react", ...OTHERS);

  console.log("| entry | gzipped | minified |\n|---|---:|---:|");
  for (const [name, contents] of ENTRIES) {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: folder },
      bundle: true,
      minify: true,
      format: "esm",
      external: ["react", "react-dom", "react/*", "node:*"],
      write: false,
      logLevel: "error",
    });
    const code = /** @type {Uint8Array} */ (outputFiles[0]?.contents);
    console.log(`| ${name} | ${kilobytes(gzipSync(code, { level: 9 }))} | ${kilobytes(code)} |`);
  }
} finally {
  await rm(folder, { recursive: true });
}

function kilobytes(/** @type {Uint8Array} */ { length }) {
  return `${(length / 1000).toFixed(length < 100_000 ? 2 : 0)} kB`;
}
