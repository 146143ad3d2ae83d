// The order of a series, its histories and its short gaps, as `ml2021.data.series` has them.

import { TableError } from "./csv.js";
import { isoMoment } from "./dates.js";
import { echo } from "./text.js";

// The rows of each series of a table, each in its order; rows without a group are in none.
export function seriesOf(table, { order_by, group_by }) {
  const rows = Array.from({ length: table.count }, (_, row) => row);
  if (table.keys !== null) {
    const keys = sortKeys(table.keys, table.rules, order_by);
    rows.sort((one, other) => keys[one] - keys[other] || one - other);
  }
  if (group_by === null) return [rows];
  const areNumbers = table.group.every((cell) => cell === null || table.rules.isNumber(cell));
  const found = new Map();
  for (const row of rows) {
    const cell = table.group[row];
    if (cell === null) continue;
    const key = areNumbers ? table.rules.exact(cell) : cell;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(row);
  }
  return [...found.values()];
}

function sortKeys(cells, rules, name) {
  const missing = cells.filter((cell) => cell === null).length;
  if (missing) throw new TableError(`column '${echo(name)}', which orders the rows, is missing in ${missing} of them`);
  if (cells.every(rules.isNumber)) return cells.map(rules.toNumber);
  const keys = cells.map(isoMoment);
  const odd = keys.findIndex(Number.isNaN);
  if (odd >= 0)
    throw new TableError(
      `column '${echo(name)}', which orders the rows, holds '${echo(cells[odd])}', which is neither a number ` +
        "nor a date like 2021-03-31",
    );
  return keys;
}

// The values of one series with gaps of at most `limit` rows interpolated from both sides.
export function fillGaps(values, limit) {
  const filled = Float64Array.from(values);
  let left = -1; // the last known row
  for (let row = 0; row < values.length; row++) {
    if (Number.isNaN(values[row])) continue;
    if (left >= 0 && row - left > 1 && row - left <= limit + 1)
      for (let at = left + 1; at < row; at++)
        filled[at] = values[left] + (values[row] - values[left]) * ((at - left) / (row - left));
    left = row;
  }
  return filled;
}
