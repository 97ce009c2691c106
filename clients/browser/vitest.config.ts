import { defineConfig } from "vitest/config";

/** One service, one app and one browser, which the files share one after the other. */
const browser = {
  globalSetup: "tests/browser/support/setup.ts",
  fileParallelism: false,
  testTimeout: 90_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["tests/unit/**/*.test.{ts,tsx}"],
          restoreMocks: true,
          unstubGlobals: true,
        },
      },
      { test: { ...browser, name: "browser", include: ["tests/browser/**/*.test.ts"] } },
      { test: { ...browser, name: "screenshots", include: ["tests/browser/screenshots.ts"] } },
    ],
  },
});
