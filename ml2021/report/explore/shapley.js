// Shapley values (L. S. Shapley, "A value for n-person games", 1953): how far a prediction is from
// a reference, shared out among the columns. A column is one player, whether one number encodes it
// or many: its inputs never move apart. No DOM here.
//
// Each function returns {shares: Map(column's place -> share), errors: Map or null, from, to},
// where the shares sum to `to` − `from`, in the units of the output.

import { seeded, shuffle } from "./random.js";
import { Walk } from "./walk.js";

// The most columns whose every coalition is tried: 2¹⁰ predictions.
export const MOST_EXACT = 10;

export function movedColumns(values, reference) {
  return [...values.keys()].filter((j) => !Object.is(values[j], reference[j]));
}

// Exactly, against one reference row: the mean over all orders of changing the columns that differ.
export function shapleyExact(model, values, reference, output) {
  const moved = movedColumns(values, reference), m = moved.length;
  const worth = worthOfCoalitions(model, values, reference, moved, output);
  const weights = coalitionWeights(m), shares = new Map();
  moved.forEach((j, k) => {
    const own = 1 << k;
    let share = 0;
    for (let s = 0; s < worth.length; s++) {
      if (!(s & own)) share += weights[sizeOf(s)] * (worth[s | own] - worth[s]);
    }
    shares.set(j, share);
  });
  return { shares, errors: null, from: worth[0], to: worth.at(-1) };
}

// The prediction (2^m) where bit k says that the k-th moved column has its new value. Gray's order:
// each coalition is one column away from the one before.
function worthOfCoalitions(model, values, reference, moved, output) {
  const walk = new Walk(model, reference), worth = new Float64Array(1 << moved.length);
  worth[0] = walk.predict()[output];
  for (let i = 1, coalition = 0; i < worth.length; i++) {
    const k = 31 - Math.clz32(i & -i), j = moved[k];
    coalition ^= 1 << k;
    walk.put(j, coalition >> k & 1 ? values[j] : reference[j]);
    worth[coalition] = walk.predict()[output];
  }
  return worth;
}

// |S|! (m − |S| − 1)! / m! for |S| = 0 ... m − 1.
function coalitionWeights(m) {
  const weights = [1 / m];
  for (let size = 1; size < m; size++) weights[size] = weights[size - 1] * size / (m - size);
  return weights;
}

function sizeOf(coalition) {
  let size = 0;
  for (let s = coalition; s; s &= s - 1) size++;
  return size;
}

// Against the mean over rows, by random orders. Along an order each column takes its new value in
// turn, so that the steps of one order sum to its whole way. An order is walked forwards and
// backwards (antithetic): what one overstates, the other understates.
export class ShapleySampler {
  constructor(model, values, rows, output, seed = 1) {
    Object.assign(this, { model, values, rows, output });
    const width = values.length;
    this.random = seeded(seed);
    this.order = [...values.keys()];
    this.own = new Float64Array(width);
    this.sum = new Float64Array(width);
    this.squares = new Float64Array(width);
    this.pairs = 0;
    this.bases = 0;
    this.to = model.predict(values).values[output];
  }

  // Walk one more order, there and back, from a row drawn at random.
  step() {
    const row = this.rows[Math.floor(this.random() * this.rows.length)];
    shuffle(this.order, this.random);
    this.own.fill(0);
    this.#along(this.order, row);
    this.#along(this.order.toReversed?.() ?? [...this.order].reverse(), row);
    for (let j = 0; j < this.own.length; j++) {
      const share = this.own[j] / 2;
      this.sum[j] += share;
      this.squares[j] += share * share;
    }
    this.pairs++;
  }

  #along(order, row) {
    const walk = new Walk(this.model, row);
    let before = walk.predict()[this.output];
    this.bases += before / 2;
    for (const j of order) {
      if (Object.is(row[j], this.values[j])) continue;
      walk.put(j, this.values[j]);
      const after = walk.predict()[this.output];
      this.own[j] += after - before;
      before = after;
    }
  }

  // errors: the standard error of each share. from: the mean over all rows, the same for whichever
  // row is explained. What the rows that were drawn begin off from it is taken back from the shares,
  // in proportion to their variances, so that they sum exactly.
  result() {
    const shares = new Map(), errors = new Map(), n = this.pairs;
    const from = meanPrediction(this.model, this.rows, this.output);
    const means = Array.from(this.sum, (sum) => sum / n);
    const variances = means.map((mean, j) => Math.max(0, this.squares[j] / n - mean * mean));
    const all = variances.reduce((sum, variance) => sum + variance, 0), off = this.bases / n - from;
    means.forEach((mean, j) => {
      shares.set(j, mean + off * (all > 0 ? variances[j] / all : 1 / means.length));
      errors.set(j, n > 1 ? Math.sqrt(variances[j] / (n - 1)) : Infinity);
    });
    return { shares, errors, from, to: this.to };
  }
}

// Of a linear model exactly, against the mean over rows: a column's share is what its inputs add
// beyond what they add on average, w · (x − x̄), whatever the other columns are.
export function shapleyLinear(model, values, rows, output) {
  const x = model.encode(values, new Float64Array(model.F)), mean = meanInputs(model, rows);
  const weights = meanWeights(model, output), scale = model.target.scales[output], shares = new Map();
  let whole = 0;
  model.columns.forEach((column, j) => {
    let share = 0;
    for (let i = column.start; i < column.start + column.width; i++) {
      share += weights[i] * (x[i] - mean[i]) * scale;
    }
    shares.set(j, share);
    whole += share;
  });
  const to = model.predict(values).values[output];
  return { shares, errors: null, from: to - whole, to };
}

const meansOf = new WeakMap(); // of a model: {rows, mean}

// The mean of an output over rows; kept, for it takes as many predictions.
function meanPrediction(model, rows, output) {
  if (meansOf.get(model)?.rows !== rows) {
    const mean = new Float64Array(model.T);
    for (const row of rows) model.predict(row).values.forEach((value, t) => (mean[t] += value / rows.length));
    meansOf.set(model, { rows, mean });
  }
  return meansOf.get(model).mean[output];
}

export function isLinear(model) {
  return !model.isClass && model.networks.every((network) => network.layers.length === 1);
}

export function meanInputs(model, rows) {
  const mean = new Float64Array(model.F), x = new Float64Array(model.F);
  for (const row of rows) {
    model.encode(row, x);
    for (let i = 0; i < x.length; i++) mean[i] += x[i] / rows.length;
  }
  return mean;
}

// The weights of one output, a mean over the members: the mean of linear functions is linear.
function meanWeights(model, output) {
  const mean = new Float64Array(model.F);
  for (const { layers: [{ weights }] } of model.networks) {
    const start = output * (model.F + 1);
    for (let i = 0; i < mean.length; i++) mean[i] += weights[start + i] / model.networks.length;
  }
  return mean;
}
