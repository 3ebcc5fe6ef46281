/** The difference layer's tiles, and the share of the view that changed. */
import { GAINED, KEPT, LOST, addGround, compare, paint } from "../difference.js";
import * as surfaces from "../surfaces.js";
import { TILE_PX } from "../tile_store.js";
import { blankTile, drawPiece } from "./painter.js";

const KEPT_TILES = 300;

/**
 * @typedef {{subject: string, before: string, after: string}} Question
 * @typedef {{gained: number, lost: number, unknown: boolean}} Answer
 */

/** @param {string} subject */
function palette(subject) {
  return {
    [KEPT]: [...surfaces.rgb(surfaces.colourOf(subject)), 90],
    [GAINED]: [...surfaces.rgb(surfaces.GAINED), 255],
    [LOST]: [...surfaces.rgb(surfaces.LOST), 255],
  };
}

function pixels(piece) {
  const context = drawPiece(piece, false).getContext("2d", { willReadFrequently: true });
  return context.getImageData(0, 0, TILE_PX, TILE_PX).data;
}

/** @param {ReturnType<import("../tile_store.js").tileStore>} store */
export function changeTiles(store) {
  /** @type {Map<string, Uint8Array | null>} null where a date has no result yet */
  const known = new Map();
  const keyOf = ({ subject, before, after }, z, y, x) => `${subject}/${before}/${after}/${z}/${y}/${x}`;

  /** @param {Question} question */
  async function draw(question, z, x, y) {
    const piece = (date) => store.pieceOf({ layer: question.subject, date, z, y, x });
    const [before, after] = await Promise.all([piece(question.before), piece(question.after)]);
    const changes = before && after ? compare(pixels(before), pixels(after)) : null;
    known.set(keyOf(question, z, y, x), changes);
    if (known.size > KEPT_TILES) known.delete(known.keys().next().value);
    const canvas = blankTile();
    if (changes) {
      const image = new ImageData(paint(changes, palette(question.subject)), TILE_PX, TILE_PX);
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    return canvas;
  }

  /**
   * Shares of the ground in view; null while tiles are loading.
   * @param {Question} question
   * @param {number} z
   * @param {[number, number, number, number]} view left, top, right, bottom in pixels of zoom z
   * @returns {Answer | null}
   */
  function sumUp(question, z, [left, top, right, bottom]) {
    const across = 2 ** z;
    const sums = [0, 0, 0, 0];
    let unknown = false;
    for (let y = Math.max(0, Math.floor(top / TILE_PX)); y < Math.min(across, bottom / TILE_PX); y += 1) {
      for (let x = Math.floor(left / TILE_PX); x < right / TILE_PX; x += 1) {
        const changes = known.get(keyOf(question, z, y, ((x % across) + across) % across));
        if (changes === undefined) return null;
        unknown ||= changes === null;
        const window = windowOf(x, y, left, top, right, bottom);
        if (changes) addGround(changes, window, (row) => groundOf(y * TILE_PX + row, across), sums);
      }
    }
    const whole = sums.reduce((sum, part) => sum + part, 0);
    const share = (kind) => (whole ? sums[kind] / whole : 0);
    return { gained: share(GAINED), lost: share(LOST), unknown };
  }

  return { draw, sumUp };
}

function windowOf(x, y, left, top, right, bottom) {
  const clamp = (value) => Math.min(Math.max(Math.round(value), 0), TILE_PX);
  return {
    left: clamp(left - x * TILE_PX),
    top: clamp(top - y * TILE_PX),
    right: clamp(right - x * TILE_PX),
    bottom: clamp(bottom - y * TILE_PX),
  };
}

/** Mercator enlarges by 1/cos(latitude) both ways, so a pixel's ground shrinks by cos². */
function groundOf(pixelRow, across) {
  const northing = Math.PI * (1 - (2 * (pixelRow + 0.5)) / (across * TILE_PX));
  return 1 / Math.cosh(northing) ** 2;
}
