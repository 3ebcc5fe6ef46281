/** The surfaces of the segmentation, and their colours in map, legend and chart. */

export const RAW = "RAW";

/** @type {{name: string, colour: string}[]} */
export const SURFACES = [
  { name: "FOREST-JUNGLE", colour: "#2f9e5b" },
  { name: "OCEAN-SEA", colour: "#2f7fd1" },
  { name: "DESERT", colour: "#e0a33a" },
];

/** Distinguishable with red-green colour blindness. */
export const GAINED = "#12d6c5";
export const LOST = "#ff6a3d";

/** @param {string} name */
export function colourOf(name) {
  return SURFACES.find((surface) => surface.name === name)?.colour ?? "";
}

/**
 * @param {string} hex `#rrggbb`
 * @returns {[number, number, number]}
 */
export function rgb(hex) {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
