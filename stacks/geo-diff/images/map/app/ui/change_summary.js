/** What changed in view, in words, with the legend of the colours. */
import { h } from "../vue.js";
import { day, percent, t } from "../language.js";
import { mapStatus } from "../map/map_view.js";
import { state } from "../state.js";
import { GAINED, LOST, colourOf } from "../surfaces.js";

function words() {
  if (state.date === state.other) return t("change_same");
  const answer = mapStatus.answer;
  if (!answer) return t("change_counting");
  const values = {
    before: day(state.date, "medium"),
    after: day(state.other, "medium"),
    gained: percent(answer.gained),
    lost: percent(answer.lost),
    name: t(`in_words_${state.subject}`),
  };
  const sentence = t(answer.gained || answer.lost ? "change_words" : "change_none", values);
  return answer.unknown ? `${sentence} ${t("change_unknown")}` : sentence;
}

const key = (colour, name, share) =>
  h("li", [
    h("span", { class: "swatch", style: { background: colour } }),
    h("span", t(name)),
    share !== undefined && h("strong", percent(share)),
  ]);

export const ChangeSummary = () =>
  h("section", { class: "summary" }, [
    h("ul", { class: "key" }, [
      key(GAINED, "gained", mapStatus.answer?.gained),
      key(LOST, "lost", mapStatus.answer?.lost),
      key(`color-mix(in srgb, ${colourOf(state.subject)} 40%, #777)`, "unchanged"),
    ]),
    h("p", { role: "status" }, words()),
  ]);
