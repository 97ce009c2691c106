import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { type BuildOptions, build } from "esbuild";
import { expect, test } from "vitest";
import { buildEntries, buildStandalone } from "../../scripts/build.mjs";
import { generate } from "../../scripts/generate.mjs";

const CORE_MAX_BYTES = 2048;

const file = (path: string) => readFile(new URL(`../../${path}`, import.meta.url));
const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url));

test("the committed browser core is built from the source", async () => {
  const committed = await file("dist/client.js");
  expect(await buildStandalone(), "run `npm run build`").toBe(committed.toString());
});

test("the browser core has at most 2 kB, gzipped", async () => {
  expect(gzipSync(await file("dist/client.js"), { level: 9 }).length).toBeLessThanOrEqual(
    CORE_MAX_BYTES,
  );
});

test("the types are those of the service's OpenAPI document", async () => {
  const committed = await file("src/generated/openapi.ts");
  expect(committed.toString(), "run `npm run generate`").toBe(await generate());
});

/** The bundle of somebody who uses a part of the package. */
async function bundle(code: string, options: BuildOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: source("") },
    bundle: true,
    minify: true,
    format: "esm",
    external: ["react"],
    write: false,
    ...options,
  });
  return outputFiles![0]!.text;
}

test("an import of the rule alone brings nothing else", async () => {
  const code = await bundle('export { isNearLimit } from "./index.js"');
  expect(code.length).toBeLessThan(120);
});

test("the hooks do not bring the client a second time", async () => {
  expect(await bundle('export * from "./react/index.js"')).not.toContain("/v1/");
});

test("no entry needs Node.js", async () => {
  for (const entry of ["index.js", "react/index.js", "server.js"]) {
    expect(await bundle(`export * from "./${entry}"`)).not.toMatch(/node:|require\(|process\./);
  }
});

test("the backend's entry runs where there is nothing but the web's own interfaces", async () => {
  const code = await bundle('export * from "./server.js"', { format: "iife", globalName: "plg" });
  const fetch = async (url: string) => Response.json({ url });
  const edge = createContext({ AbortSignal, setTimeout, encodeURIComponent });
  const { createServerClient } = runInContext(`${code};plg`, edge);
  const client = createServerClient({ baseUrl: "https://plg.example", serviceKey: "k", fetch });
  await expect(client.getUsage({ hotelId: "h" })).resolves.toEqual({
    url: "https://plg.example/v1/hotels/h/usage",
  });
});

test("server components may import the hooks' module", async () => {
  const { outputFiles } = await buildEntries({ write: false });
  const react = outputFiles!.find(({ path }) => path.endsWith("/react.js"))!;
  expect(react.text).toMatch(/^"use client";/);
});

test("importing does nothing", async () => {
  for (const entry of ["index.js", "server.js"]) {
    const idle = await bundle(`import "./${entry}"`, { ignoreAnnotations: true });
    expect(idle.length, idle).toBeLessThan(200);
  }
});
