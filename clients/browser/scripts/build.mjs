// Bundles the entries into dist/. `tsc` adds the declarations.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

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

/** The browser core as one file, for pages without a bundler. It is committed and served as is. */
export const buildStandalone = (/** @type {import("esbuild").BuildOptions} */ options = {}) =>
  build({
    ...shared,
    entryPoints: { client: "src/index.ts" },
    outdir: "dist",
    minify: true,
    ...options,
  });

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
  await Promise.all([buildStandalone(), buildEntries()]);
}
