/** Each layer: whether it is shown, its colour, its opacity. */
import { h } from "../vue.js";
import { completeness } from "../catalogue.js";
import { percent, t } from "../language.js";
import { state } from "../state.js";
import { RAW, SURFACES } from "../surfaces.js";

function row(name, colour) {
  const look = state.looks[name];
  const done = completeness(state.date, name);
  return h("li", { key: name }, [
    h("label", [
      h("input", { type: "checkbox", checked: look.shown, onChange: () => { look.shown = !look.shown; } }),
      h("span", { class: ["swatch", colour || "imagery"], style: colour ? { background: colour } : {} }),
      h("span", t(name)),
    ]),
    h("input", {
      type: "range",
      min: 0,
      max: 100,
      step: 5,
      disabled: !look.shown,
      value: Math.round(look.opacity * 100),
      "aria-label": t("opacity", { name: t(name) }),
      onInput: (event) => { look.opacity = Number(event.target.value) / 100; },
    }),
    done < 1 && h("small", t("partial", { share: percent(done) })),
  ]);
}

export const LayerList = () =>
  h("section", { class: "layers" }, [
    h("h2", t("layers")),
    h("ul", [row(RAW, ""), SURFACES.map(({ name, colour }) => row(name, colour))]),
  ]);
