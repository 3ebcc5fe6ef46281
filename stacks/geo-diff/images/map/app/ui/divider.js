/** The divider of the swipe: dragged, or moved with the keys of a slider. */
import { h, ref } from "../vue.js";
import { day, percent, t } from "../language.js";
import { state } from "../state.js";

const STEP = 0.02;
const LEAP = 0.1;

const MOVES = {
  ArrowLeft: -STEP,
  ArrowDown: -STEP,
  ArrowRight: STEP,
  ArrowUp: STEP,
  PageDown: -LEAP,
  PageUp: LEAP,
  Home: -1,
  End: 1,
};

const moveTo = (split) => { state.split = Math.min(Math.max(split, 0), 1); };

export const Divider = {
  setup() {
    const line = ref(null);
    function drag(event) {
      if (!line.value.hasPointerCapture(event.pointerId)) return;
      const frame = line.value.parentElement.getBoundingClientRect();
      moveTo((event.clientX - frame.left) / frame.width);
    }
    function press(event) {
      if (!(event.key in MOVES)) return;
      event.preventDefault();
      moveTo(state.split + MOVES[event.key]);
    }
    return () => {
      const before = day(state.date, "medium");
      const after = day(state.other, "medium");
      return h("div", { class: "curtain" }, h("div", {
        ref: line,
        class: "divider",
        style: { left: `${state.split * 100}%` },
        role: "slider",
        tabindex: 0,
        "aria-orientation": "horizontal",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": Math.round(state.split * 100),
        "aria-valuetext": t("divider_value", { share: percent(state.split), before }),
        "aria-label": t("divider", { before, after }),
        onPointerdown: (event) => line.value.setPointerCapture(event.pointerId),
        onPointermove: drag,
        onKeydown: press,
      }, [
        h("span", { class: "side left", "aria-hidden": "true" }, before),
        h("span", { class: "side right", "aria-hidden": "true" }, after),
        h("span", { class: "grip", "aria-hidden": "true" }, "‹ ›"),
      ]));
    };
  },
};
