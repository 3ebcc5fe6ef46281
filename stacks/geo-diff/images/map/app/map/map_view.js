/** The OpenLayers map, kept in step with the state. */
import { reactive, watch } from "../vue.js";
import ol from "./openlayers.js";
import { changeTiles } from "./changes.js";
import { datedLayers, differenceLayer } from "./layers.js";
import { clipTo } from "./swipe.js";

const OVERZOOM = 2;
const EDGE = 20037508.342789244;
const WORLD_PX = 256;

/** @type {{waiting: number, answer: import("./changes.js").Answer | null}} */
export const mapStatus = reactive({ waiting: 0, answer: null });

/**
 * @param {HTMLElement} target
 * @param {import("../state.js").State} state
 * @param {ReturnType<import("../tile_store.js").tileStore>} store
 * @param {{min: number, max: number}} zooms
 */
export function createMap(target, state, store, zooms) {
  const changes = changeTiles(store);
  const dated = datedLayers(store, zooms.max);
  const difference = differenceLayer(changes, zooms.max);
  const layers = [...dated.map((layer) => layer.olLayer), difference.olLayer];
  const home = ol.proj.fromLonLat([state.lon, state.lat]);
  const view = new ol.View({
    center: home,
    zoom: state.zoom,
    minZoom: Math.max(zooms.min, 1),
    maxZoom: zooms.max + OVERZOOM,
    enableRotation: false,
    multiWorld: true,
    extent: [-5 * EDGE, -0.8 * EDGE, 5 * EDGE, 0.8 * EDGE],
    constrainOnlyCenter: true,
  });
  const map = new ol.Map({
    target,
    view,
    layers,
    controls: [new ol.control.ScaleLine({ minWidth: 90 })],
    interactions: ol.interaction.defaults.defaults({ altShiftDragRotate: false, pinchRotate: false }),
  });

  function obey() {
    for (const { name, side, olLayer, show } of dated) {
      const look = state.looks[name];
      const wanted = state.mode === "difference" ? side === "date" && name === "RAW" : look.shown;
      olLayer.setVisible(wanted && (side === "date" || state.mode === "swipe"));
      olLayer.setOpacity(look.opacity);
      show(state[side]);
    }
    difference.olLayer.setVisible(state.mode === "difference");
    difference.ask({ subject: state.subject, before: state.date, after: state.other });
    target.dataset.mode = state.mode;
    map.render();
    sumUp();
  }

  for (const { side, olLayer } of dated) {
    clipTo(olLayer, (width) => {
      if (state.mode !== "swipe") return null;
      const covered = view.padding[3];
      const edge = covered + state.split * (width - covered);
      return side === "date" ? { from: 0, to: edge } : { from: edge, to: width };
    });
  }

  /** The area under cards is not in view: it counts neither for the centre nor for the shares. */
  function makeRoom() {
    const frame = target.getBoundingClientRect();
    const panel = document.querySelector(".panel").getBoundingClientRect();
    const timeline = document.querySelector(".timeline").getBoundingClientRect();
    const beside = panel.right < timeline.left;
    view.padding = [0, 0, frame.bottom - timeline.top, beside ? panel.right - frame.left : 0];
    sumUp();
  }

  let pending = 0;
  function sumUp() {
    if (state.mode !== "difference") return;
    mapStatus.answer = null;
    clearTimeout(pending);
    pending = setTimeout(() => {
      const z = difference.olLayer.getSource().getTileGrid().getZForResolution(view.getResolution());
      const [west, south, east, north] = view.calculateExtent();
      const pixel = (metres) => ((metres + EDGE) / (2 * EDGE)) * WORLD_PX * 2 ** z;
      const box = [pixel(west), pixel(-north), pixel(east), pixel(-south)];
      mapStatus.answer = changes.sumUp(difference.question(), z, box);
    }, 120);
  }

  for (const olLayer of layers) {
    const source = olLayer.getSource();
    source.on("tileloadstart", () => (mapStatus.waiting += 1));
    source.on(["tileloadend", "tileloaderror"], () => (mapStatus.waiting -= 1));
  }
  difference.olLayer.getSource().on("tileloadend", sumUp);

  map.on("moveend", () => {
    const [lon, lat] = ol.proj.toLonLat(view.getCenter());
    Object.assign(state, { zoom: view.getZoom(), lat, lon: ((((lon + 180) % 360) + 360) % 360) - 180 });
    sumUp();
  });

  const cards = new ResizeObserver(makeRoom);
  for (const name of [".panel", ".timeline"]) cards.observe(document.querySelector(name));
  cards.observe(target);
  makeRoom();
  view.setCenter(home);

  watch(() => [state.mode, state.date, state.other, state.subject, state.split, state.looks], obey, { deep: true, immediate: true });

  return {
    /** Move to the position in the state, as after "back". */
    moveToState() {
      view.setCenter(ol.proj.fromLonLat([state.lon, state.lat]));
      view.setZoom(state.zoom);
    },
    zoomBy: (levels) => view.animate({ zoom: view.getZoom() + levels, duration: calm() ? 0 : 200 }),
    /** Request every tile again: the server is back, or has more. */
    reload: () => layers.forEach((olLayer) => olLayer.getSource().refresh()),
  };
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
