/** The title, and the choice of language. */
import { h } from "../vue.js";
import { WORDS } from "../dictionary.js";
import { language, speak, t } from "../language.js";

const NAMES = { en: "English", es: "Español" };

export const Heading = () =>
  h("header", { class: "card heading" }, [
    h("div", [h("h1", "Geo-Diff"), h("p", t("subtitle"))]),
    h("div", { class: "languages", role: "group", "aria-label": t("language") }, Object.keys(WORDS).map((tag) =>
      h("button", {
        type: "button",
        lang: tag,
        title: NAMES[tag],
        "aria-label": NAMES[tag],
        "aria-pressed": language.value === tag,
        onClick: () => speak(tag),
      }, tag.toUpperCase()),
    )),
  ]);
