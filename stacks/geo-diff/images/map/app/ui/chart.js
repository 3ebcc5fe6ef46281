/** The share of each surface by date: three small charts over one line of dates. */
import { h, ref } from "../vue.js";
import { catalogue, days } from "../catalogue.js";
import { bandOf, pathOf, placesOf } from "../chart_scale.js";
import { day, month, percent, t } from "../language.js";
import { step } from "../player.js";
import { state } from "../state.js";
import { SURFACES } from "../surfaces.js";

const WIDTH = 300;
const MARGIN = 12;
const HEIGHT = 40;
const PITCH = 72;

const shareOf = (entry, name) => entry.filters[name]?.share ?? null;
const inWords = (share) => (share === null ? t("no_share") : percent(share));

function strip({ name, colour }, row, places) {
  const shares = catalogue.dates.map((entry) => shareOf(entry, name));
  const band = bandOf(shares);
  const top = row * PITCH + 24;
  const height = (share) => (share === null ? null : top + HEIGHT * (1 - (share - band.low) / (band.high - band.low)));
  const heights = shares.map(height);
  const now = shares[days.value.indexOf(state.date)] ?? null;
  return h("g", { key: name }, [
    h("text", { class: "name", x: 0, y: top - 11 }, t(name)),
    h("text", { class: "now", x: WIDTH, y: top - 11 }, inWords(now)),
    h("rect", { class: "ground", x: 0, y: top - 5, width: WIDTH, height: HEIGHT + 10, rx: 4 }),
    band && h("path", { d: pathOf(places, heights), stroke: colour }),
    heights.map((y, n) => y !== null && h("circle", { cx: places[n], cy: y, r: days.value[n] === state.date ? 4.5 : 2.5, fill: colour })),
  ]);
}

function column(entry, n, places, focused, choose) {
  const shares = SURFACES.map(({ name }) => `${t(name)} ${inWords(shareOf(entry, name))}`).join(", ");
  const half = places.length > 1 ? (places[1] - places[0]) / 2 : WIDTH / 2;
  return h("rect", {
    key: entry.date,
    class: ["column", entry.date === state.date && "here", state.mode !== "single" && entry.date === state.other && "there"],
    x: places[n] - Math.min(half, MARGIN),
    y: 0,
    width: 2 * Math.min(half, MARGIN),
    height: PITCH * SURFACES.length,
    rx: 4,
    role: "button",
    tabindex: n === focused ? 0 : -1,
    "aria-pressed": entry.date === state.date,
    "aria-label": `${day(entry.date)}: ${shares}`,
    onClick: () => choose(n),
    onKeydown: (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), choose(n)),
  }, h("title", `${day(entry.date)}\n${shares}`));
}

const table = () =>
  h("details", [
    h("summary", t("chart_table")),
    h("table", [
      h("thead", h("tr", [h("th", { scope: "col" }, t("date")), SURFACES.map(({ name }) => h("th", { scope: "col" }, t(name)))])),
      h("tbody", catalogue.dates.map((entry) => h("tr", { key: entry.date }, [
        h("th", { scope: "row" }, day(entry.date, "medium")),
        SURFACES.map(({ name }) => h("td", inWords(shareOf(entry, name)))),
      ]))),
    ]),
  ]);

export const Chart = {
  setup() {
    const drawing = ref(null);
    const walk = { ArrowLeft: -1, ArrowRight: 1 };
    function move(event) {
      if (!(event.key in walk)) return;
      event.preventDefault();
      const columns = [...drawing.value.querySelectorAll(".column")];
      const next = columns.indexOf(document.activeElement) + walk[event.key];
      columns[Math.min(Math.max(next, 0), columns.length - 1)].focus();
    }
    return () => {
      const places = placesOf(days.value, WIDTH - 2 * MARGIN).map((x) => x + MARGIN);
      const focused = Math.max(0, days.value.indexOf(state.date));
      const choose = (n) => step(n - days.value.indexOf(state.date), "date");
      const bottom = PITCH * SURFACES.length;
      return h("section", { class: "chart" }, [
        h("h2", t("chart")),
        h("p", { class: "hidden", id: "chart-help" }, t("chart_help")),
        h("svg", { ref: drawing, viewBox: `0 0 ${WIDTH} ${bottom + 16}`, role: "group", "aria-labelledby": "chart-title", "aria-describedby": "chart-help", onKeydown: move }, [
          h("title", { id: "chart-title" }, t("chart_title")),
          SURFACES.map((surface, row) => strip(surface, row, places)),
          days.value.map((date, n) => h("text", { key: date, class: "month", x: places[n], y: bottom + 12 }, month(date))),
          catalogue.dates.map((entry, n) => column(entry, n, places, focused, choose)),
        ]),
        table(),
      ]);
    };
  },
};
