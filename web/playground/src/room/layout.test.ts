import { expect, test } from "vitest";
import { GAP, gridOf, pageOf, tilesPerPage } from "./layout.ts";

const LAPTOP = { width: 1400, height: 760 };
const PHONE = { width: 374, height: 640 };

test.each([
  [1, LAPTOP, 1, 1],
  [2, LAPTOP, 2, 1],
  [3, LAPTOP, 2, 2],
  [4, LAPTOP, 2, 2],
  [9, LAPTOP, 3, 3],
  [1, PHONE, 1, 1],
  [2, PHONE, 1, 2],
  [6, PHONE, 2, 3],
])("%i tiles on %o stand in %i × %i", (count, place, columns, rows) => {
  expect(gridOf(count, place)).toMatchObject({ columns, rows });
});

test("no grid is larger than its place, and every tile has one", () => {
  for (const place of [LAPTOP, PHONE, { width: 1000, height: 100 }, { width: 90, height: 900 }]) {
    for (let count = 1; count <= 60; count += 1) {
      const { columns, rows, tileWidth, tileHeight } = gridOf(count, place);
      expect(columns * rows).toBeGreaterThanOrEqual(count);
      expect(columns * tileWidth + GAP * (columns - 1)).toBeLessThanOrEqual(place.width);
      expect(rows * tileHeight + GAP * (rows - 1)).toBeLessThanOrEqual(place.height);
    }
  }
});

test("a place without size gives a grid without size, not an error", () => {
  expect(gridOf(3, { width: 0, height: 0 })).toMatchObject({ tileWidth: 0, tileHeight: 0 });
  expect(gridOf(0, LAPTOP).columns).toBe(1);
  expect(tilesPerPage(5, { width: 0, height: 0 })).toBe(1);
});

test("a page holds as many tiles as stay readable", () => {
  expect(tilesPerPage(2, PHONE)).toBe(2);
  expect(tilesPerPage(50, LAPTOP)).toBe(25);
  expect(tilesPerPage(20, LAPTOP)).toBe(20);
  expect(tilesPerPage(20, PHONE)).toBeLessThan(20);
});

test("a page that is gone leads to the last one there is", () => {
  expect(pageOf([1, 2, 3, 4, 5], 1, 2)).toEqual({ page: 1, pages: 3, items: [3, 4] });
  expect(pageOf([1, 2, 3], 9, 2)).toEqual({ page: 1, pages: 2, items: [3] });
  expect(pageOf([], 3, 2)).toEqual({ page: 0, pages: 1, items: [] });
});
