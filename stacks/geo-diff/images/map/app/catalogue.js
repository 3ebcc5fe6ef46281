/** The dates that the tile server has, and how complete each is. */
import { computed, reactive } from "./vue.js";
import { RAW, SURFACES } from "./surfaces.js";

/** @type {{dates: import("./tile_server.js").DateEntry[], loaded: boolean}} */
export const catalogue = reactive({ dates: [], loaded: false });

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

export const isComplete = computed(() =>
  days.value.every((date) => SURFACES.every(({ name }) => completeness(date, name) >= 1)),
);

export const zoomRange = computed(() => ({
  min: Math.min(...catalogue.dates.map((entry) => entry.min_zoom)),
  max: Math.max(...catalogue.dates.map((entry) => entry.max_zoom)),
}));
