/** Whether the tile server answers; while it does not, retry with growing pauses. */
import { reactive } from "./vue.js";

const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 30;

/** @type {{down: boolean, waitS: number}} */
export const connection = reactive({ down: false, waitS: 0 });

let pauseS = FIRST_PAUSE_S;
let timer = 0;
/** @type {() => Promise<boolean>} */
let ask = async () => true;
/** @type {() => void} */
let onReturn = () => {};

/**
 * @param {() => Promise<boolean>} alive checks whether it answers
 * @param {() => void} whenBack called when it answers again
 */
export function watchConnection(alive, whenBack) {
  ask = alive;
  onReturn = whenBack;
  window.addEventListener("online", () => connection.down && retryNow());
}

/** A request got no answer. */
export function connectionLost() {
  if (connection.down) return;
  connection.down = true;
  pauseS = FIRST_PAUSE_S;
  wait();
}

/** Retry at once. */
export async function retryNow() {
  clearTimeout(timer);
  connection.waitS = 0;
  if (await ask()) {
    connection.down = false;
    onReturn();
  } else {
    pauseS = Math.min(pauseS * 2, LONGEST_PAUSE_S);
    wait();
  }
}

function wait() {
  connection.waitS = pauseS;
  const tick = () => {
    connection.waitS -= 1;
    if (connection.waitS > 0) timer = setTimeout(tick, 1000);
    else retryNow();
  };
  clearTimeout(timer);
  timer = setTimeout(tick, 1000);
}
