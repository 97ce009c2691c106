import { expect, test, vi } from "vitest";
import { once } from "../../../../examples/next-app/lib/jobs.js";

test("a job is done once, and again only if it failed", async () => {
  const work = vi.fn(async () => "done").mockRejectedValueOnce(new Error("disk full"));
  await expect(once("a", work)).rejects.toThrow("disk full");
  await expect(Promise.all([once("a", work), once("a", work)])).resolves.toEqual(["done", "done"]);
  await once("a", work);
  expect(work).toHaveBeenCalledTimes(2);
  await once("b", work);
  expect(work).toHaveBeenCalledTimes(3);
});
