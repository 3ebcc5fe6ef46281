/**
 * Read the address of the tile server.
 * @returns {Promise<string>} its origin
 */
export async function readTilesUrl() {
  const response = await fetch("config.json");
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  return (await response.json()).tiles_url;
}
