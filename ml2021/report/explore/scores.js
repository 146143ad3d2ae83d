// Scores of predictions whose truth is known, as `ml2021 evaluate` has them.

import { chosenClass } from "./predictions.js";
import { argmax, number } from "./text.js";

// The rows that are predicted and whose truth is known: all target values, or a class of training.
export function knownRows(model, predictions, truth) {
  if (truth === null) return [];
  const isKnown = (values) => values.every((value) => (model.isClass ? value >= 0 : !Number.isNaN(value)));
  return truth.flatMap((values, row) => (predictions[row] !== null && isKnown(values) ? [row] : []));
}

// {mae, rmse, inside} of all targets, inside null without intervals; or {accuracy}.
export function scoresOf(model, predictions, truth, rows, { half, threshold }) {
  if (model.isClass) {
    const right = rows.filter((row) => chosenClass(predictions[row].values, threshold) === truth[row][0]);
    return { accuracy: right.length / rows.length };
  }
  let absolute = 0;
  let squares = 0;
  let inside = 0;
  for (const row of rows)
    for (let t = 0; t < model.T; t++) {
      const error = Math.abs(predictions[row].values[t] - truth[row][t]);
      absolute += error;
      squares += error * error;
      if (half !== null && error <= half[t]) inside++;
    }
  const cells = rows.length * model.T;
  return {
    mae: absolute / cells,
    rmse: Math.sqrt(squares / cells),
    inside: half === null ? null : inside / cells,
  };
}

// What a prediction says in a few words: a value or a class, by output for several.
export function answer(model, { values }, threshold) {
  if (model.isClass) return model.target.labels[chosenClass(values, threshold)];
  return inWords(Array.from(values, (value, t) => number(value, model.target.scales[t])));
}

const MOST_OUTPUTS = 4;

// The values of several outputs, of many the first ones.
export function inWords(texts) {
  return texts.length <= MOST_OUTPUTS ? texts.join(", ") : `${texts.slice(0, MOST_OUTPUTS - 1).join(", ")}, …`;
}

export function certainty({ values }, threshold) {
  return values[threshold === null ? argmax(values) : chosenClass(values, threshold)];
}
