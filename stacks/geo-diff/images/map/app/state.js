/** The current view. All of it is in the address, so that a link shares it. */
import { reactive } from "./vue.js";
import { RAW, SURFACES } from "./surfaces.js";

export const MODES = ["single", "swipe", "difference"];

/**
 * @typedef {{shown: boolean, opacity: number}} Look
 * @typedef {object} State
 * @property {string} date the date, and the earlier side of a comparison
 * @property {string} other the later side of a comparison
 * @property {string} mode one of MODES
 * @property {Record<string, Look>} looks of RAW and of each surface
 * @property {string} subject the surface whose change is shown
 * @property {number} split position of the divider in the part of the map beside the panel, 0 to 1
 * @property {number} zoom
 * @property {number} lon
 * @property {number} lat
 */

/** @type {State} */
export const state = reactive({
  date: "",
  other: "",
  mode: "single",
  looks: {
    [RAW]: { shown: true, opacity: 1 },
    ...Object.fromEntries(SURFACES.map(({ name }) => [name, { shown: true, opacity: 0.6 }])),
  },
  subject: SURFACES[0].name,
  split: 0.5,
  zoom: 2.5,
  lon: 10,
  lat: 18,
});

/**
 * Choose existing dates, if the address has none or others.
 * @param {string[]} days
 */
export function settleDates(days) {
  if (!days.length) return;
  if (!days.includes(state.date)) state.date = days[0];
  // half a year apart is where a year's seasons differ most
  if (!days.includes(state.other)) state.other = days[Math.floor(days.length / 2)];
}
