import { afterEach, expect, test, vi } from "vitest";
import { newId } from "../../src/id.js";

afterEach(() => void vi.restoreAllMocks());

test("is another one each time, even at the same time", () => {
  vi.spyOn(Date, "now").mockReturnValue(1_764_300_000_000);
  expect(new Set(Array.from({ length: 1000 }, newId))).toHaveLength(1000);
});

test("begins with the time, without a separator", () => {
  const clock = vi.spyOn(Date, "now");
  const ids = [0, 1000, 86_400_000].map((later) => {
    clock.mockReturnValue(1_764_300_000_000 + later);
    return newId();
  });
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-z]{36}$/);
});
