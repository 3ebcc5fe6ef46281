/** The place of the map, and its zoom buttons. */
import { h, nextTick, onMounted, ref } from "../vue.js";
import { t } from "../language.js";

export const MapFrame = {
  props: ["atlas"],
  setup(props) {
    const place = ref(null);
    let map;
    // the cards that cover part of it must exist before it is drawn
    onMounted(() => nextTick(() => { map = props.atlas.drawMap(place.value); }));
    const button = (sign, words, levels) =>
      h("button", { type: "button", "aria-label": t(words), title: t(words), onClick: () => map.zoomBy(levels) }, sign);
    return () => [
      h("div", { ref: place, id: "map", class: "map", tabindex: 0, role: "application", "aria-label": t("map") }),
      h("div", { class: "card zoom" }, [button("+", "zoom_in", 1), button("−", "zoom_out", -1)]),
    ];
  },
};
