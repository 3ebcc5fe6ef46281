/** What changed between two masks, pixel by pixel. Pure: no canvas, no network. */

export const NEVER = 0;
export const KEPT = 1;
export const GAINED = 2;
export const LOST = 3;

/**
 * @param {Uint8ClampedArray} before RGBA; a pixel belongs to the surface where it is opaque
 * @param {Uint8ClampedArray} after the same
 * @returns {Uint8Array} NEVER, KEPT, GAINED or LOST for each pixel
 */
export function compare(before, after) {
  const changes = new Uint8Array(before.length / 4);
  for (let n = 0; n < changes.length; n += 1) {
    const was = before[4 * n + 3] > 127;
    const is = after[4 * n + 3] > 127;
    changes[n] = was ? (is ? KEPT : LOST) : is ? GAINED : NEVER;
  }
  return changes;
}

/**
 * @param {Uint8Array} changes
 * @param {Record<number, [number, number, number, number]>} palette RGBA of each kind
 * @returns {Uint8ClampedArray} RGBA
 */
export function paint(changes, palette) {
  const pixels = new Uint8ClampedArray(changes.length * 4);
  changes.forEach((kind, n) => kind && pixels.set(palette[kind], 4 * n));
  return pixels;
}

/**
 * Add up the ground under each kind inside a window of one tile.
 * @param {Uint8Array} changes of a square tile
 * @param {{left: number, top: number, right: number, bottom: number}} window in pixels, ends excluded
 * @param {(row: number) => number} weight the ground under a pixel of that row
 * @param {number[]} sums by kind, added to
 */
export function addGround(changes, window, weight, sums) {
  const width = Math.sqrt(changes.length);
  for (let row = window.top; row < window.bottom; row += 1) {
    const ground = weight(row);
    for (let column = window.left; column < window.right; column += 1) {
      sums[changes[row * width + column]] += ground;
    }
  }
}
