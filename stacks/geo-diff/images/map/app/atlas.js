/** Tile server, catalogue, tiles and map, wired together. */
import { watch } from "./vue.js";
import { catalogue, days, isComplete, zoomRange } from "./catalogue.js";
import { connection, connectionLost, watchConnection } from "./connection.js";
import { fromFragment, writeAddress } from "./link.js";
import { createMap } from "./map/map_view.js";
import { player } from "./player.js";
import { keepToken, refuseToken, session } from "./session.js";
import { settleDates, state } from "./state.js";
import { Unreachable, WrongToken, tileServer } from "./tile_server.js";
import { tileStore } from "./tile_store.js";

const LOOK_AGAIN_MS = 15_000;
const COUNTING_MS = 1_000;

/** @param {string} url of the tile server */
export function openAtlas(url) {
  const server = tileServer(url);
  const store = tileStore((path) => noticing(() => server.tile(path, session.token)));
  /** @type {ReturnType<typeof createMap> | undefined} */
  let map;

  /** Run a request, and show its failure on the page. */
  async function noticing(request) {
    const token = session.token;
    try {
      return await request();
    } catch (error) {
      if (error instanceof WrongToken && token === session.token) refuseToken();
      if (error instanceof Unreachable) connectionLost();
      throw error;
    }
  }

  async function refresh() {
    if (!session.token) return;
    try {
      take(await noticing(() => server.dates(session.token)));
    } catch (error) {
      if (!(error instanceof WrongToken || error instanceof Unreachable)) throw error;
    }
  }

  /** @param {import("./tile_server.js").Listing} listing */
  function take({ dates, complete }) {
    const grown = JSON.stringify(dates) !== JSON.stringify(catalogue.dates);
    Object.assign(catalogue, { dates, complete, loaded: true });
    settleDates(days.value);
    if (grown) map?.reload();
    if (!complete) setTimeout(refresh, COUNTING_MS);
  }

  watchConnection(server.alive, async () => {
    await refresh();
    map?.reload();
  });
  setInterval(() => {
    if (!document.hidden && !connection.down && !isComplete.value) refresh();
  }, LOOK_AGAIN_MS);

  window.addEventListener("popstate", () => {
    fromFragment(location.hash, state);
    settleDates(days.value);
    map?.moveToState();
  });
  watch(state, () => catalogue.loaded && writeAddress(player.playing), { deep: true });
  refresh();

  return {
    /**
     * Try a token; keep it if the server accepts it.
     * @param {string} token
     * @returns {Promise<"accepted" | "refused" | "unreachable">}
     */
    async enter(token) {
      try {
        const listing = await server.dates(token.trim());
        keepToken(token);
        take(listing);
        map?.reload();
        return "accepted";
      } catch (error) {
        return error instanceof WrongToken ? "refused" : "unreachable";
      }
    },
    /** @param {HTMLElement} target */
    drawMap(target) {
      map = createMap(target, state, store, zoomRange.value);
      return map;
    },
  };
}
