/**
 * Decoded tiles, and a cache of those that do not exist.
 *
 * The deepest zoom may not cover the whole world. A missing tile is replaced by its part of the parent
 * tile, so every place shows the best available picture.
 */
import { Missing } from "./tile_server.js";
import { RAW } from "./surfaces.js";
import { completeness } from "./catalogue.js";

export const TILE_PX = 256;
const KEPT = 400;
const ASK_AGAIN_MS = 15_000;

/**
 * A part of a picture: where it begins and how wide it is, in the picture's pixels.
 * @typedef {{bitmap: ImageBitmap, x: number, y: number, size: number}} Piece
 * @typedef {{layer: string, date: string, z: number, y: number, x: number}} Tile
 */

/** @param {(path: string) => Promise<Blob>} fetchTile */
export function tileStore(fetchTile) {
  /** @type {Map<string, Promise<ImageBitmap>>} */
  const bitmaps = new Map();
  /** @type {Map<string, number>} when it was found missing */
  const missing = new Map();

  /** @param {Tile} tile */
  const pathOf = ({ layer, date, z, y, x }) => `/${layer}/${date}/${z}/${y}/${x}`;

  /** @param {Tile} tile */
  function isMissing(tile) {
    const since = missing.get(pathOf(tile));
    if (since !== undefined && (tile.layer === RAW || performance.now() - since < ASK_AGAIN_MS)) return true;
    // results come from RAW tiles: if their list is complete, no RAW tile means no result
    const complete = tile.layer !== RAW && completeness(tile.date, tile.layer) >= 1;
    return complete && missing.has(pathOf({ ...tile, layer: RAW }));
  }

  /** @param {Tile} tile */
  function bitmapOf(tile) {
    const path = pathOf(tile);
    const known = bitmaps.get(path);
    if (known) bitmaps.delete(path);
    const bitmap = known ?? decode(path);
    bitmaps.set(path, bitmap); // the youngest again
    if (bitmaps.size > KEPT) bitmaps.delete(bitmaps.keys().next().value);
    return bitmap;
  }

  /** @param {string} path */
  async function decode(path) {
    try {
      return await createImageBitmap(await fetchTile(path));
    } catch (error) {
      bitmaps.delete(path);
      if (error instanceof Missing) missing.set(path, performance.now());
      throw error;
    }
  }

  /**
   * The picture of a tile, or its part of an ancestor's; null if there is neither.
   * @param {Tile} tile
   * @returns {Promise<Piece | null>}
   */
  async function pieceOf(tile) {
    for (let up = 0; up <= tile.z; up += 1) {
      const size = TILE_PX / 2 ** up;
      const ancestor = { ...tile, z: tile.z - up, y: tile.y >> up, x: tile.x >> up };
      if (size < 1 || isMissing(ancestor)) continue;
      try {
        const bitmap = await bitmapOf(ancestor);
        const within = (n) => (n - ((n >> up) << up)) * size;
        return { bitmap, x: within(tile.x), y: within(tile.y), size };
      } catch (error) {
        if (!(error instanceof Missing)) throw error;
      }
    }
    return null;
  }

  return { pieceOf };
}
