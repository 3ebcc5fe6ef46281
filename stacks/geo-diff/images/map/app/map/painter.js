/** Draw pieces of tiles on canvases of a tile's size. */
import { TILE_PX } from "../tile_store.js";

export function blankTile() {
  const canvas = document.createElement("canvas");
  canvas.width = TILE_PX;
  canvas.height = TILE_PX;
  return canvas;
}

/**
 * @param {import("../tile_store.js").Piece | null} piece
 * @param {boolean} smooth whether an enlarged piece may be blurred
 */
export function drawPiece(piece, smooth) {
  const canvas = blankTile();
  if (!piece) return canvas;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = smooth;
  const { bitmap, x, y, size } = piece;
  context.drawImage(bitmap, x, y, size, size, 0, 0, TILE_PX, TILE_PX);
  return canvas;
}

/**
 * A surface in the one colour of its legend: its own pixels would vanish on the imagery below.
 * @param {import("../tile_store.js").Piece | null} piece
 * @param {string} colour
 */
export function drawSurface(piece, colour) {
  const canvas = drawPiece(piece, false);
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, TILE_PX, TILE_PX);
  return canvas;
}
