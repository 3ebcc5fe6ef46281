/** The dates: a line of them for each side, and the button that plays them. */
import { h } from "../vue.js";
import { days } from "../catalogue.js";
import { day, month, t } from "../language.js";
import { player, step, togglePlaying } from "../player.js";
import { state } from "../state.js";

function line(side, label) {
  const at = days.value.indexOf(state[side]);
  const choose = (index) => { state[side] = days.value[index]; };
  return h("div", { class: "line", key: side }, [
    h("label", { class: "day" }, [
      h("span", t(label)),
      h("select", { value: state[side], onChange: (event) => { state[side] = event.target.value; } },
        days.value.map((date) => h("option", { key: date, value: date }, day(date)))),
    ]),
    h("button", { type: "button", class: "round", "aria-label": t("earlier"), title: t("earlier"), onClick: () => step(-1, side) }, "‹"),
    h("div", { class: "track" }, [
      h("input", {
        type: "range",
        min: 0,
        max: days.value.length - 1,
        step: 1,
        value: at,
        "aria-label": t(label),
        "aria-valuetext": day(state[side]),
        onInput: (event) => choose(Number(event.target.value)),
      }),
      h("div", { class: "ticks", "aria-hidden": "true" }, days.value.map((date, index) =>
        h("span", { key: date, class: index === at && "here" }, month(date)))),
    ]),
    h("button", { type: "button", class: "round", "aria-label": t("later"), title: t("later"), onClick: () => step(1, side) }, "›"),
  ]);
}

export const Timeline = () => {
  const words = t(player.playing ? "pause" : "play");
  return h("section", { class: "card timeline", "aria-label": t("date") }, [
    h("button", { type: "button", class: "play", "aria-label": words, title: words, onClick: togglePlaying },
      h("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
        h("path", { d: player.playing ? "M7 5h4v14H7zM13 5h4v14h-4z" : "M8 5v14l11-7z" }))),
    h("div", { class: "lines" }, state.mode === "single"
      ? [line("date", "date")]
      : [line("date", "before"), line("other", "after")]),
  ]);
};
