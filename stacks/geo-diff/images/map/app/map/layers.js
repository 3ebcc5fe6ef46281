/** The layers: imagery and surfaces of two dates, and the difference between them. */
import ol from "./openlayers.js";
import { RAW, SURFACES, colourOf } from "../surfaces.js";
import { drawPiece, drawSurface } from "./painter.js";

/**
 * @typedef {{name: string, side: "date" | "other", olLayer: object, show(date: string): void}} DatedLayer
 */

// coarse tiles first: the whole world in a moment, then the detail
const COARSER_ZOOMS = 2;

/** @param {(z: number, x: number, y: number) => Promise<HTMLCanvasElement>} loader */
function tileLayer(loader, maxZoom, className, preload = 0) {
  const source = new ol.source.ImageTile({ loader, maxZoom, transition: 0 });
  return new ol.layer.Tile({ source, className, preload, cacheSize: 256 });
}

/**
 * @param {ReturnType<import("../tile_store.js").tileStore>} store
 * @param {string} name
 * @param {"date" | "other"} side
 * @param {number} maxZoom
 * @returns {DatedLayer}
 */
function datedLayer(store, name, side, maxZoom) {
  let date = "";
  const olLayer = tileLayer(
    async (z, x, y) => {
      const piece = await store.pieceOf({ layer: name, date, z, y, x });
      return name === RAW ? drawPiece(piece, true) : drawSurface(piece, colourOf(name));
    },
    maxZoom,
    `ol-layer ${name === RAW ? "imagery" : "surface"}`,
    name === RAW ? COARSER_ZOOMS : 0,
  );
  return {
    name,
    side,
    olLayer,
    show(wanted) {
      if (wanted === date) return;
      date = wanted;
      // with a new key, the old tiles stay visible until the new ones have loaded
      olLayer.getSource().setKey(date);
    },
  };
}

/** Bottom to top. */
export function datedLayers(store, maxZoom) {
  const names = [RAW, ...SURFACES.map((surface) => surface.name)];
  return ["date", "other"].flatMap((side) => names.map((name) => datedLayer(store, name, side, maxZoom)));
}

/** @param {ReturnType<import("./changes.js").changeTiles>} changes */
export function differenceLayer(changes, maxZoom) {
  /** @type {import("./changes.js").Question} */
  let question = { subject: "", before: "", after: "" };
  const olLayer = tileLayer((z, x, y) => changes.draw(question, z, x, y), maxZoom, "ol-layer changes");
  return {
    olLayer,
    question: () => question,
    ask(wanted) {
      const key = JSON.stringify(wanted);
      if (key === JSON.stringify(question)) return;
      question = wanted;
      olLayer.getSource().setKey(key);
    },
  };
}
