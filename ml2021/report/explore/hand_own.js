// The run's own function along one column as a constant and sigmoids, to begin chapter 2 with. No DOM.
//
// One hidden layer of sigmoids is that along each of its columns, whatever the others are; so is a
// linear model of numbers in pieces, each of which is a hard sigmoid, and so are the pairs of ReLUs
// that `ml2021 piecewise` builds. The other columns have their mean over the training rows.

import { betweenSigmoids, curveAt } from "./hand_curve.js";
import { meanInputs } from "./shapley.js";

// {constant, units, activation, rest, hard} in the standardised units of the pairs, as `hand_curve.js`
// has it; null for another kind of function. rest: all but the `most` units that bend the curve most.
export function ownCurve(model, rows, pairs, { place, output }, most) {
  if (model.isClass || model.networks.length > 1 || !rows.length) return null;
  const [network] = model.networks, column = model.columns[place];
  const inputs = meanInputs(model, rows);
  inputs.fill(0, column.start, column.start + column.width);
  const found = partsOf(network, column, inputs, output, model.payload.piecewise);
  if (found === null) return null;
  const activation = betweenSigmoids(found.hard);
  const units = found.units.map((unit) => inUnitsOf(unit, pairs, model.target.scales[output]));
  const bends = ({ w, b, c }) => {
    const values = pairs.u.map((u) => c * activation.value(b + w * u));
    return Math.max(...values) - Math.min(...values);
  };
  const order = units.map((unit) => ({ unit, bend: bends(unit) })).sort((one, other) => other.bend - one.bend);
  const [own, others] = [order.slice(0, most), order.slice(most)].map((part) => part.map(({ unit }) => unit));
  const { means, scales } = model.target;
  return {
    constant: (found.constant * scales[output] + means[output] - pairs.y.mean) / pairs.y.scale,
    units: own.sort((one, other) => -one.b / one.w + other.b / other.w),
    activation,
    rest: others.length ? { constant: 0, units: others, activation, rest: null } : null,
    hard: found.hard,
  };
}

// Units {w, b, c} of x in the units of the table, and the constant, both in those of the network.
function partsOf({ layers, activation }, column, inputs, output, isBuilt) {
  if (column.kind !== "number" || !column.value) return null;
  if (layers.length === 1) return column.centres.length ? piecesOf(layers[0], column, inputs, output) : null;
  if (layers.length > 2 || column.centres.length) return null;
  const hidden = hiddenUnits(layers, column, inputs, output);
  const constant = layers[1].weights[output * (layers[1].inputs + 1) + layers[1].inputs];
  if (activation === "relu") return isBuilt ? { constant, hard: 1, units: fromPairs(hidden) } : null;
  return { constant, hard: Number(activation === "hard_sigmoid"), units: hidden };
}

function hiddenUnits([first, second], column, inputs, output) {
  return Array.from({ length: first.outputs }, (_, k) => {
    const start = k * (first.inputs + 1), w = first.weights[start + column.start] / column.scale;
    const others = inputs.reduce((sum, x, i) => sum + first.weights[start + i] * x, first.weights[start + first.inputs]);
    return { w, b: others - w * column.mean, c: second.weights[output * (second.inputs + 1) + k] };
  });
}

// relu(z) − relu(z − d) rises from 0 to d where z does: a hard sigmoid of 6z/d − 3.
function fromPairs(units) {
  return Array.from({ length: units.length / 2 }, (_, i) => {
    const [{ w, b, c }, end] = units.slice(2 * i, 2 * i + 2), d = b - end.b;
    return { w: 6 * w / d, b: 6 * b / d - 3, c: c * d };
  });
}

// Each piece rises from 0 to 1 between its edges, and the value itself between the first and the last.
function piecesOf({ weights, inputs: width }, column, inputs, output) {
  const { edges, centres, mean, scale, start, indicator } = column, row = output * (width + 1);
  const whole = weights[row + start] / scale, low = edges[0], high = edges.at(-1);
  const ramp = (from, to, height) => {
    const w = 6 / (to - from);
    return { w, b: -w * (from + to) / 2, c: height };
  };
  const first = row + start + 1 + Number(indicator);
  const heights = centres.map((_, k) => weights[first + k]);
  const others = inputs.reduce((sum, x, i) => sum + weights[row + i] * x, weights[row + width]);
  const pieces = centres.map((_, k) => ramp(edges[k], edges[k + 1], heights[k])).filter((_, k) => edges[k + 1] > edges[k]);
  return {
    constant: others + whole * (low - mean) - centres.reduce((sum, centre, k) => sum + heights[k] * centre, 0),
    hard: 1,
    units: [ramp(low, high, whole * (high - low)), ...pieces],
  };
}

function inUnitsOf({ w, b, c }, { x, y }, scale) {
  return { w: w * x.scale, b: b + w * x.mean, c: c * scale / y.scale };
}
