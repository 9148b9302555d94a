import { expect, test } from "vitest";
import { levelOf } from "./level.ts";

test("silence is empty, full scale is full, −30 dBFS is the middle", () => {
  expect(levelOf(new Float32Array())).toBe(0);
  expect(levelOf(new Float32Array(64))).toBe(0);
  expect(levelOf(new Float32Array(64).fill(1))).toBe(1);
  expect(levelOf(new Float32Array(64).fill(10 ** (-30 / 20)))).toBeCloseTo(0.5, 3);
  expect(levelOf(new Float32Array(64).fill(1e-6))).toBe(0);
  expect(levelOf(new Float32Array(64).fill(4))).toBe(1);
});
