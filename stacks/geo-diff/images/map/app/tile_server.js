/** The tile server's HTTP API; every failure is one of three. */
export class WrongToken extends Error {}
export class Missing extends Error {}
export class Unreachable extends Error {}

/**
 * @typedef {{tiles: number, share?: number | null}} Coverage
 * @typedef {{date: string, min_zoom: number, max_zoom: number, filters: Record<string, Coverage>}} DateEntry
 * @typedef {{dates: DateEntry[], complete: boolean}} Listing `complete` is false while the server still counts
 * @typedef {{dates(token: string): Promise<Listing>, tile(path: string, token: string): Promise<Blob>, alive(): Promise<boolean>}} TileServer
 */

const PATIENCE_MS = 20_000;

/**
 * @param {string} url
 * @returns {TileServer}
 */
export function tileServer(url) {
  /** @param {string} path @param {string} token */
  async function get(path, token) {
    const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
    let response;
    try {
      response = await fetch(`${url}${path}`, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch (error) {
      throw new Unreachable(String(error));
    }
    if (response.status === 401) throw new WrongToken(path);
    if (response.status === 404) throw new Missing(path);
    if (!response.ok) throw new Unreachable(`${response.status}`);
    return response;
  }

  /** The body may still fail after the header has arrived. */
  async function read(response, kind) {
    try {
      return await response[kind]();
    } catch (error) {
      throw new Unreachable(String(error));
    }
  }

  return {
    dates: async (token) => read(await get("/dates", token), "json"),
    tile: async (path, token) => read(await get(path, token), "blob"),
    alive: () => get("/health", "").then(() => true, () => false),
  };
}
