/** The page: map, panel, timeline, and the dialogs above them. */
import { h, onMounted, ref } from "../vue.js";
import { catalogue, days } from "../catalogue.js";
import { t } from "../language.js";
import { mapStatus } from "../map/map_view.js";
import { session } from "../session.js";
import { state } from "../state.js";
import { Banner } from "./banner.js";
import { Divider } from "./divider.js";
import { Heading } from "./heading.js";
import { MapFrame } from "./map_frame.js";
import { Panel } from "./panel.js";
import { Timeline } from "./timeline.js";
import { TokenDialog } from "./token_dialog.js";

export const Page = {
  props: ["atlas"],
  setup(props) {
    const open = ref(false);
    const hasDates = () => days.value.length > 0;
    onMounted(() => document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") open.value = false;
    }));
    return () => [
      h("a", { class: "skip", href: "#map", onClick: (event) => { event.preventDefault(); document.getElementById("map")?.focus(); } }, t("skip")),
      h("div", { class: ["progress", mapStatus.waiting > 0 && "busy"], role: "status", "aria-label": mapStatus.waiting > 0 ? t("loading") : "" }),
      h("main", { class: ["atlas", open.value && "open"], "data-mode": state.mode }, [
        hasDates() && h(MapFrame, { atlas: props.atlas }),
        hasDates() && state.mode === "swipe" && h(Divider),
        h(Heading),
        hasDates() && h(Panel, { open: open.value, onToggle: () => { open.value = !open.value; } }),
        hasDates() && h(Timeline),
        catalogue.complete && !hasDates() && h("section", { class: "card empty" }, [h("h2", t("empty_title")), h("p", t("empty_words"))]),
      ]),
      h(Banner),
      !session.token && h(TokenDialog, { atlas: props.atlas }),
    ];
  },
};
