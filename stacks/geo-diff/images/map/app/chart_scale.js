/** From shares and dates to coordinates of the chart. Pure. */

/**
 * @param {string[]} dates in order
 * @param {number} width
 * @returns {number[]} the position of each date, by its time
 */
export function placesOf(dates, width) {
  const times = dates.map((date) => Date.parse(date));
  const span = times.at(-1) - times[0] || 1;
  return times.map((time) => (dates.length === 1 ? width / 2 : ((time - times[0]) / span) * width));
}

/**
 * The range of the shares. The chart is about change, so it does not start at 0.
 * @param {(number | null)[]} shares
 * @returns {{low: number, high: number} | null}
 */
export function bandOf(shares) {
  const known = shares.filter((share) => share !== null);
  if (!known.length) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  return high > low ? { low, high } : { low: Math.max(0, low - 0.01), high: high + 0.01 };
}

/**
 * A path with gaps where the share is unknown.
 * @param {number[]} places
 * @param {(number | null)[]} heights
 */
export function pathOf(places, heights) {
  let pen = "M";
  return heights
    .map((height, n) => {
      if (height === null) {
        pen = "M";
        return "";
      }
      const stroke = `${pen}${places[n].toFixed(1)} ${height.toFixed(1)}`;
      pen = "L";
      return stroke;
    })
    .join("");
}
