/** Cut a layer off at the divider. */
import ol from "./openlayers.js";

/**
 * @param {object} olLayer
 * @param {() => {from: number, to: number} | null} window part of the map's width, or null for all of it
 */
export function clipTo(olLayer, window) {
  olLayer.on("prerender", (event) => {
    const context = event.context;
    context.save();
    const part = window();
    if (!part) return;
    const [width, height] = event.frameState.size;
    const corner = (x, y) => ol.render.getRenderPixel(event, [x, y]);
    const [left, top] = corner(part.from * width, 0);
    const [right, bottom] = corner(part.to * width, height);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
  });
  olLayer.on("postrender", (event) => event.context.restore());
}
