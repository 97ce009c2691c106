// Bundles the entries into dist/. `tsc` adds the declarations.
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";

const root = fileURLToPath(new URL("..", import.meta.url));
/** @type {import("esbuild").BuildOptions} */
const shared = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  target: "es2022",
  // The constructor sets them: to declare the fields before is a few bytes more.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  logLevel: "warning",
};

/**
 * The text of the browser core as one file, for pages without a bundler. It is committed and served as is. Terser makes
 * it smaller than esbuild by a twenty-fifth.
 */
export async function buildStandalone() {
  const entryPoints = { client: "src/index.ts" };
  const bundled = await build({
    ...shared,
    entryPoints,
    outdir: "dist",
    minify: true,
    write: false,
  });
  const compress = /** @type {const} */ ({ ecma: 2020, passes: 3, unsafe_arrows: true });
  const { code } = await minify(bundled.outputFiles[0]?.text ?? "", { module: true, compress });
  return `${code}\n`;
}

/** The package's entries, which share their common parts. */
export const buildEntries = (/** @type {import("esbuild").BuildOptions} */ options = {}) =>
  build({
    ...shared,
    entryPoints: { index: "src/index.ts", react: "src/react/index.ts", server: "src/server.ts" },
    outdir: "dist",
    splitting: true,
    external: ["react"],
    ...options,
  });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildEntries();
  await writeFile(`${root}dist/client.js`, await buildStandalone());
}
