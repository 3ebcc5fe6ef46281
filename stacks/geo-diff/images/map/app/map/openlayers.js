/** OpenLayers' full build, which index.html loads as a plain script. */
export default globalThis.ol;
