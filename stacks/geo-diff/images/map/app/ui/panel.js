/** What is shown: the mode, the layers, what changed, and the chart. */
import { h } from "../vue.js";
import { t } from "../language.js";
import { MODES, state } from "../state.js";
import { ChangeSummary } from "./change_summary.js";
import { Chart } from "./chart.js";
import { LayerList } from "./layer_list.js";
import { SubjectList } from "./subject_list.js";

const modeChoice = () =>
  h("fieldset", { class: "modes" }, [
    h("legend", { class: "hidden" }, t("mode")),
    MODES.map((mode) =>
      h("label", { key: mode }, [
        h("input", { type: "radio", name: "mode", value: mode, checked: state.mode === mode, onChange: () => { state.mode = mode; } }),
        h("span", t(mode)),
      ]),
    ),
  ]);

export const Panel = {
  props: ["open"],
  emits: ["toggle"],
  setup: (props, { emit }) => () =>
    h("aside", { class: "card panel" }, [
      modeChoice(),
      state.mode === "difference" && h(ChangeSummary),
      h("button", {
        type: "button",
        class: "handle",
        "aria-expanded": props.open,
        "aria-controls": "details",
        onClick: () => emit("toggle"),
      }, t(props.open ? "panel_close" : "panel_open")),
      h("div", { id: "details", class: "details" }, [
        h(state.mode === "difference" ? SubjectList : LayerList),
        h(Chart),
      ]),
    ]),
};
