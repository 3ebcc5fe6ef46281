/** Which surface's change is shown: one, or what one gained would hide what another lost. */
import { h } from "../vue.js";
import { t } from "../language.js";
import { state } from "../state.js";
import { SURFACES } from "../surfaces.js";

export const SubjectList = () =>
  h("fieldset", { class: "layers" }, [
    h("legend", t("surfaces_in_difference")),
    h("ul", SURFACES.map(({ name, colour }) =>
      h("li", { key: name }, [
        h("label", [
          h("input", { type: "radio", name: "subject", value: name, checked: state.subject === name, onChange: () => { state.subject = name; } }),
          h("span", { class: "swatch", style: { background: colour } }),
          h("span", t(name)),
        ]),
      ]),
    )),
  ]);
