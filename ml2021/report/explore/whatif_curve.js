// What would be predicted along a column, all others as they are. No DOM.

import { Walk } from "./walk.js";

// Of a number: enough places for a smooth curve, few enough for dozens of curves in a frame.
const PLACES = 33;

// From a little below the least training value to a little above the greatest.
export function domainOf({ low, high }) {
  const beyond = 0.1 * (high - low) || 1;
  return [low - beyond, high + beyond];
}

// The nearest value of the column's resolution: 332.5 stays within reach where the least is 102.
export function snapped({ low, step }, value) {
  return Number((low + Math.round((value - low) / step) * step).toPrecision(10));
}

export function placesOf(column) {
  if (column.kind !== "number") return column.labels.map((_, i) => i);
  const [low, high] = domainOf(column);
  return Array.from({ length: PLACES }, (_, i) => low + (high - low) * i / (PLACES - 1));
}

// How far one output moves when a column goes from one deviation below its mean to one above, or
// through its categories: what the columns are sorted by, in deviations of the outputs.
export function influences(model, values) {
  const walk = new Walk(model, values), scales = model.isClass ? null : model.target.scales;
  return model.columns.map((column, j) => {
    const places = column.kind === "number"
      ? [column.mean - column.scale, column.mean + column.scale]
      : [0, column.labels.length - 1];
    const [low, high] = places.map((value) => {
      walk.put(j, value);
      return walk.predict().slice();
    });
    walk.put(j, values[j]);
    return low.reduce((sum, v, t) => sum + Math.abs(v - high[t]) / (scales?.[t] ?? 1), 0);
  });
}
