/** How many tiles of which size fit a place. Pure. */

export interface Grid {
  columns: number;
  rows: number;
  /** Pixels. */
  tileWidth: number;
  tileHeight: number;
}

export interface Place {
  width: number;
  height: number;
}

/** Width to height of a tile: most cameras. */
const ASPECT = 16 / 9;
/** Pixels between tiles. */
export const GAP = 8;
/** Smaller than this a face is not recognised; more people go to another page. */
const TILE_WIDTH_MIN = 140;
/** More than this on one page costs more decoders than a laptop has. */
const TILES_MAX = 25;

/** The grid in which `count` tiles of one size are largest. Tiles may be as high as wide on narrow places. */
export function gridOf(count: number, place: Place): Grid {
  let best: Grid = { columns: 1, rows: 1, tileWidth: 0, tileHeight: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns) || 1;
    const widthEach = (place.width - GAP * (columns - 1)) / columns;
    const heightEach = (place.height - GAP * (rows - 1)) / rows;
    const tileWidth = Math.max(0, Math.floor(Math.min(widthEach, heightEach * ASPECT)));
    // A phone held upright has height to spare: tiles grow up to a square there.
    const tileHeight = Math.max(0, Math.floor(Math.min(heightEach, tileWidth)));
    const isUpright = place.height > place.width;
    const height = isUpright ? tileHeight : Math.floor(tileWidth / ASPECT);
    if (tileWidth * height > best.tileWidth * best.tileHeight) {
      best = { columns, rows, tileWidth, tileHeight: height };
    }
  }
  return best;
}

/** How many tiles of a readable size one page of this place holds, at least one. */
export function tilesPerPage(count: number, place: Place): number {
  for (let tiles = Math.min(count, TILES_MAX); tiles > 1; tiles -= 1) {
    if (gridOf(tiles, place).tileWidth >= TILE_WIDTH_MIN) return tiles;
  }
  return 1;
}

/** The part of `items` on a page that exists, and which page that is (from 0). */
export function pageOf<T>(items: readonly T[], wanted: number, perPage: number) {
  const pages = Math.max(1, Math.ceil(items.length / perPage));
  const page = Math.min(Math.max(0, wanted), pages - 1);
  return { page, pages, items: items.slice(page * perPage, (page + 1) * perPage) };
}
