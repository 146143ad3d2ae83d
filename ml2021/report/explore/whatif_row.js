// The row in hand: where it comes from, what was changed in it, what is asked about it. No DOM.
//
// A source of rows is {label, rows: [values], truth: [[value an output] or [class]] or null,
// names: [text]}. isDrawn of the page's own: its rows were drawn as the training rows were, so that
// the interval's promise holds for each of them. A value is as in `model.js`.

import { movedColumns } from "./shapley.js";
import { count } from "./text.js";
import { snapped } from "./whatif_curve.js";

export const knownValues = (values) => values.map((value) => value ?? NaN);

// The rows that the page holds; one row of usual values where it holds none.
export function ownRows(payload) {
  const block = payload.rows;
  if (!block?.values.length) {
    const rows = [payload.columns.map(usualValue)];
    return { label: "usual values", rows, truth: null, names: ["usual values"], isDrawn: false };
  }
  return {
    label: `${block.part} rows`,
    rows: block.values.map(knownValues),
    truth: block.truth.map(knownValues),
    names: block.places.map((place, i) => nameOf(block, place, i)),
    predictions: block.held_out,
    isHeldOut: block.held_out !== null,
    isDrawn: true,
  };
}

// Its number in the file, and in a series where it stands.
function nameOf({ order, group }, place, i) {
  return [`row ${count(place + 1)}`, order?.[i], group?.[i]].filter(Boolean).join(", ");
}

function usualValue(column) {
  const { kind, low, high, mean } = column;
  if (kind === "number") return snapped(column, Math.min(high, Math.max(low, mean)));
  const counts = column.histogram;
  return counts ? counts.indexOf(Math.max(...counts)) : 0;
}

export class RowInHand {
  constructor(model, source) {
    this.model = model;
    this.output = firstOutput(model);
    this.use(source);
  }

  use(source) {
    this.source = source;
    this.take(0);
  }

  // Take up the row at this place of the source, with other values where some are given.
  take(place, values = null) {
    this.place = place;
    this.origin = this.source.rows[place];
    this.values = Array.from(values ?? this.origin);
    if (this.model.isClass) this.output = this.#classToShow();
  }

  // The true class, which one asks about first; the likeliest where it is not known.
  #classToShow() {
    const [truth] = this.truth ?? [-1];
    if (truth >= 0) return truth;
    const { values } = this.model.predict(this.values);
    return values.indexOf(Math.max(...values));
  }

  get truth() { return this.source.truth?.[this.place] ?? null; }
  get moved() { return movedColumns(this.values, this.origin); }
  get isMade() { return !this.source.isDrawn || this.moved.length > 0; }

  // The numbers that lie outside of the training rows' range.
  get outside() {
    return this.model.columns.filter(({ kind, low, high }, j) =>
      kind === "number" && (this.values[j] < low || this.values[j] > high));
  }
}

// Of an image the pixel in its middle: those at its edge are often always the same.
function firstOutput({ isClass, target }) {
  if (isClass || target.shape?.length !== 2) return 0;
  const [height, width] = target.shape;
  return (height >> 1) * width + (width >> 1);
}

// How the rows of a source can be put in order, by what is predicted for them: {name: text}.
export function ordersOf({ truth }, { isClass }) {
  return {
    file: "as in the file",
    ...(truth ? { worst: "worst predicted first" } : {}),
    ...(isClass ? { unsure: "least sure first" } : { highest: "highest prediction first" }),
  };
}

// source.predictions are kept; of folds, what each predicted for the rows that it had not seen.
export function orderedRows(source, model, order, output) {
  const places = [...source.rows.keys()];
  if (order === "file") return places;
  source.predictions ??= source.rows.map((row) => model.predict(row).values);
  const { predictions } = source;
  const keyOf = {
    worst: (i) => missOf(source, model, i),
    unsure: (i) => -Math.max(...predictions[i]),
    highest: (i) => predictions[i][output],
  }[order];
  const keys = places.map(keyOf);
  return places.sort((a, b) => keys[b] - keys[a] || a - b);
}

// How wrong a prediction is: in deviations, the largest of the outputs; of classes 1 − p(truth).
function missOf({ truth, predictions }, model, i) {
  const values = predictions[i];
  if (model.isClass) return truth[i][0] >= 0 ? 1 - values[truth[i][0]] : 0;
  const misses = truth[i].map((t, k) => Math.abs(values[k] - t) / model.target.scales[k]);
  return Math.max(0, ...misses.filter(Number.isFinite));
}
