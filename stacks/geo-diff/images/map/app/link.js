/** The view as the fragment of the address, and back. */
import { MODES, state } from "./state.js";
import { SURFACES } from "./surfaces.js";

/** @param {import("./state.js").State} view */
export function toFragment(view) {
  const looks = Object.entries(view.looks)
    .filter(([, look]) => look.shown)
    .map(([name, look]) => `${name}:${Math.round(look.opacity * 100)}`);
  const place = [view.zoom.toFixed(2), view.lat.toFixed(3), view.lon.toFixed(3)].join("/");
  const parts = [`date=${view.date}`, `mode=${view.mode}`];
  if (view.mode !== "single") parts.push(`other=${view.other}`);
  if (view.mode === "swipe") parts.push(`split=${view.split.toFixed(2)}`);
  if (view.mode === "difference") parts.push(`subject=${view.subject}`);
  return `#${[...parts, `show=${looks.join(",")}`, `at=${place}`].join("&")}`;
}

/**
 * Apply a fragment to the view; values that are missing or invalid stay.
 * @param {string} fragment
 * @param {import("./state.js").State} view
 */
export function fromFragment(fragment, view) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  view.date = said.get("date") ?? view.date;
  view.other = said.get("other") ?? view.other;
  if (MODES.includes(said.get("mode") ?? "")) view.mode = said.get("mode");
  if (SURFACES.some(({ name }) => name === said.get("subject"))) view.subject = said.get("subject");
  view.split = within(said.get("split"), 0, 1, view.split);
  if (said.has("show")) readLooks(said.get("show"), view.looks);
  const [zoom, lat, lon] = (said.get("at") ?? "").split("/");
  view.zoom = within(zoom, 0, 24, view.zoom);
  view.lat = within(lat, -85, 85, view.lat);
  view.lon = within(lon, -180, 180, view.lon);
}

function readLooks(text, looks) {
  const shown = new Map(text.split(",").map((part) => part.split(":")));
  for (const [name, look] of Object.entries(looks)) {
    look.shown = shown.has(name);
    look.opacity = within(shown.get(name), 0, 100, look.opacity * 100) / 100;
  }
}

function within(text, low, high, otherwise) {
  const value = Number.parseFloat(text ?? "");
  return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : otherwise;
}

/** Only the position or the divider moved: "back" should not undo such steps one by one. */
function isSameChoice(fragment) {
  const choice = (text) => text.replace(/&?(at|split)=[^&]*/g, "");
  return choice(fragment) === choice(location.hash);
}

/** @param {boolean} [passing] whether this view is intermediate, as while dates play */
export function writeAddress(passing = false) {
  const fragment = toFragment(state);
  if (fragment === location.hash) return;
  const replace = passing || isSameChoice(fragment) || location.hash === "";
  history[replace ? "replaceState" : "pushState"](null, "", fragment);
}
