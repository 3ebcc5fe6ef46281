/** Cut a layer off at the divider. */
import ol from "./openlayers.js";

/**
 * @param {object} olLayer
 * @param {(width: number) => {from: number, to: number} | null} window the columns of the map that
 *   show the layer, or null for all of them
 */
export function clipTo(olLayer, window) {
  olLayer.on("prerender", (event) => {
    const context = event.context;
    context.save();
    const [width, height] = event.frameState.size;
    const part = window(width);
    if (!part) return;
    const corner = (x, y) => ol.render.getRenderPixel(event, [x, y]);
    const [left, top] = corner(part.from, 0);
    const [right, bottom] = corner(part.to, height);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
  });
  olLayer.on("postrender", (event) => event.context.restore());
}
