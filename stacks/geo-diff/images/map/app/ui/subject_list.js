/** The surface whose change is shown: only one, or one's gain would hide another's loss. */
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
