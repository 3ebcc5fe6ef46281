/** Step through the dates, as fast as the tiles load. */
import { reactive } from "./vue.js";
import { days } from "./catalogue.js";
import { mapStatus } from "./map/map_view.js";
import { state } from "./state.js";

const STEP_MS = 1100;
const PATIENCE_STEPS = 6;

/** @type {{playing: boolean}} */
export const player = reactive({ playing: false });

let timer = 0;
let waited = 0;

/** The date that changes: in a comparison the later one. */
export const movingSide = () => (state.mode === "single" ? "date" : "other");

/** @param {number} steps @param {"date" | "other"} [side] */
export function step(steps, side = movingSide()) {
  const count = days.value.length;
  const at = days.value.indexOf(state[side]);
  state[side] = days.value[(at + steps + count) % count];
}

export function togglePlaying() {
  player.playing = !player.playing;
  clearInterval(timer);
  if (player.playing) timer = setInterval(advance, STEP_MS);
}

function advance() {
  waited += 1;
  if (mapStatus.waiting > 0 && waited < PATIENCE_STEPS) return;
  waited = 0;
  step(1);
}
