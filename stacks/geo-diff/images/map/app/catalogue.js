/** The dates that the tile server has, and how complete each is. */
import { computed, reactive } from "./vue.js";
import { RAW, SURFACES } from "./surfaces.js";

/** @type {import("./tile_server.js").Listing & {loaded: boolean}} */
export const catalogue = reactive({ dates: [], complete: false, loaded: false });

export const days = computed(() => catalogue.dates.map((entry) => entry.date));

/** @param {string} date */
export function entryOf(date) {
  return catalogue.dates.find((entry) => entry.date === date);
}

/**
 * The part of a date's tiles that a surface's results cover, 0 to 1.
 * @param {string} date
 * @param {string} surface
 */
export function completeness(date, surface) {
  const filters = entryOf(date)?.filters;
  return filters?.[RAW]?.tiles ? (filters[surface]?.tiles ?? 0) / filters[RAW].tiles : 0;
}

/** The server has counted everything, and the segmentation is complete. */
export const isComplete = computed(() =>
  catalogue.complete && days.value.length > 0 && days.value.every((date) => SURFACES.every(({ name }) => completeness(date, name) >= 1)),
);

export const zoomRange = computed(() => ({
  min: Math.min(...catalogue.dates.map((entry) => entry.min_zoom)),
  max: Math.max(...catalogue.dates.map((entry) => entry.max_zoom)),
}));
