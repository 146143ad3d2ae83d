// The model of the payload: from the values of the columns to a prediction.
//
// A row is an array with a value for each of `columns`: a number, NaN if it is missing; or the place
// of a category among the column's labels, −1 for none of them. F inputs, T outputs, K members.

import { floats16, floats32 } from "./bytes.js";
import { Network } from "./network.js";

const FARTHEST = 1e18;

export class Model {
  // theta: Float32Array (K, P), by default the payload's.
  constructor(payload, theta = floats32(payload.theta)) {
    const { sizes, activation, members } = payload.network;
    this.payload = payload;
    this.columns = payload.columns;
    this.target = payload.target;
    this.isClass = payload.target.kind === "classes";
    this.theta = theta;
    this.parameters = theta.length / members;
    this.networks = Array.from(
      { length: members },
      (_, k) => new Network(sizes, activation, theta, k * this.parameters),
    );
    this.F = sizes[0];
    this.T = sizes.at(-1);
    this.x = new Float64Array(this.F);
    this.own = new Float64Array(this.T);
  }

  // The same model with other parameters, such as those of `pathOf`; of one network.
  withTheta(theta) {
    return new Model({ ...this.payload, network: { ...this.payload.network, members: 1 } }, theta);
  }

  encode(values, x = new Float64Array(this.F)) {
    for (let j = 0; j < this.columns.length; j++) encodeColumn(this.columns[j], values[j], x);
    return x;
  }

  // {values (T), std (T) or null}: in the units of the data, or probabilities; of several members
  // their mean and standard deviation.
  predict(values) {
    return this.predictInputs(this.encode(values, this.x));
  }

  predictInputs(x) {
    return this.combine((network) => network.outputs(x));
  }

  // Outputs of a network (T) in the units of the data, or as probabilities.
  restore(outputs, place) {
    const { means, scales } = this.target;
    if (!this.isClass) {
      for (let i = 0; i < this.T; i++) place[i] = outputs[i] * scales[i] + means[i];
      return place;
    }
    let top = -Infinity;
    let sum = 0;
    for (let i = 0; i < this.T; i++) top = Math.max(top, outputs[i]);
    for (let i = 0; i < this.T; i++) sum += place[i] = Math.exp(outputs[i] - top);
    for (let i = 0; i < this.T; i++) place[i] /= sum;
    return place;
  }

  // Mean and standard deviation over members by Welford's recurrence; outputs(network, its place).
  combine(outputs) {
    const mean = new Float64Array(this.T);
    const several = this.networks.length > 1;
    const std = several ? new Float64Array(this.T) : null;
    this.networks.forEach((network, k) => {
      const own = this.restore(outputs(network, k), this.own);
      for (let i = 0; i < this.T; i++) {
        const step = own[i] - mean[i];
        mean[i] += step / (k + 1);
        if (several) std[i] += step * (own[i] - mean[i]);
      }
    });
    if (several) std.forEach((s, i) => (std[i] = Math.sqrt(s / (this.networks.length - 1))));
    return { values: mean, std };
  }

  // Half the width (T) of each output's interval at a level, null if there is none.
  halfWidths(level) {
    return this.payload.widths.find(([own]) => own === level)?.[1] ?? null;
  }
}

// The page's text leaves out what is the same in most columns: `USUAL` of columns.py.
export function completed(column) {
  const usual = { width: 1, date: null, lag: null, value: true, indicator: false, edges: [], centres: [], rarer: [] };
  return { ...usual, source: column.name, ...column };
}

// Write the inputs of a column's value; float32, as in training.
export function encodeColumn(column, value, x) {
  const { start, width } = column;
  if (column.kind === "category") {
    x.fill(0, start, start + width);
    if (value >= 0) x[start + value] = 1;
    return;
  }
  const missing = Number.isNaN(value);
  const known = missing ? column.fill : value;
  let at = start;
  if (column.value) x[at++] = Math.fround((known - column.mean) / column.scale);
  if (column.indicator) x[at++] = missing ? 1 : 0;
  const { edges, centres } = column;
  for (let k = 0; k < centres.length; k++) {
    const span = edges[k + 1] - edges[k];
    const share = span > 0 ? Math.min(1, Math.max(0, (known - edges[k]) / span)) : 0;
    x[at++] = Math.fround(share - centres[k]);
  }
}

// Whether a value is so far from the training rows that `predict` refuses it.
export function isTooFar(column, value) {
  return column.value && Math.abs((value - column.mean) / column.scale) > FARTHEST;
}

// θ along the training of a single network: {updates, thetas}, null if it was not kept.
export function pathOf(payload) {
  if (payload.path === null) return null;
  const { updates } = payload.path;
  const all = floats16(payload.path.theta);
  const size = all.length / updates.length;
  return { updates, thetas: updates.map((_, i) => all.subarray(i * size, (i + 1) * size)) };
}
