// A curve as a constant and sigmoids, ŷ = b + Σ cⱼ · a(bⱼ + wⱼx): a network with one hidden layer.
// Its parameters as an array are b, then w, b, c of each unit. rest: null, or another such network that
// is added and stays as it is. No DOM.

import { ACTIVATIONS } from "./network.js";

const { sigmoid, hard_sigmoid, relu } = ACTIVATIONS;

// From smooth (0) to hard (1): {value, slope}, mixed of both sigmoids.
export function betweenSigmoids(hard) {
  return {
    name: hard === 0 ? "σ" : "a",
    value: (z) => (1 - hard) * sigmoid(z) + hard * hard_sigmoid(z),
    slope: (z) => {
      const a = sigmoid(z);
      return (1 - hard) * a * (1 - a) + (Math.abs(z) < 3 ? hard / 6 : 0);
    },
  };
}

export const RELU = { name: "ReLU", value: relu, slope: (z) => (z > 0 ? 1 : 0) };

// {constant, units: [{w, b, c}], activation, rest}; two sigmoids to begin with, one at each side.
export function firstCurve() {
  const units = [
    { w: 3, b: 3, c: 0.9 },
    { w: 3, b: -3, c: 0.9 },
  ];
  return { constant: -0.6, units, activation: betweenSigmoids(0), rest: null };
}

export function curveAt({ constant, units, activation, rest }, u) {
  return units.reduce((y, { w, b, c }) => y + c * activation.value(b + w * u), constant + restAt(rest, u));
}

export function restAt(rest, u) {
  return rest === null ? 0 : curveAt(rest, u);
}

// {value, gradient} of the mean loss over all rows; the gradient in the order of the parameters.
export function curveLoss(network, { u, v }, loss) {
  const { units, activation } = network;
  const gradient = new Float64Array(1 + 3 * units.length);
  let sum = 0;
  for (let i = 0; i < u.length; i++) {
    const difference = curveAt(network, u[i]) - v[i];
    sum += loss.value(difference);
    const back = loss.slope(difference);
    gradient[0] += back;
    units.forEach(({ w, b, c }, j) => {
      const z = b + w * u[i];
      const overZ = back * c * activation.slope(z);
      gradient[1 + 3 * j] += overZ * u[i];
      gradient[2 + 3 * j] += overZ;
      gradient[3 + 3 * j] += back * activation.value(z);
    });
  }
  return { value: sum / u.length, gradient: gradient.map((each) => each / u.length) };
}

export function parametersOf({ constant, units }) {
  return [constant, ...units.flatMap(({ w, b, c }) => [w, b, c])];
}

export function withParameters(network, theta) {
  const units = network.units.map((_, j) => {
    const [w, b, c] = theta.slice(1 + 3 * j, 4 + 3 * j);
    return { w, b, c };
  });
  return { ...network, constant: theta[0], units };
}

// m ← β₁m + (1 − β₁)g, s ← β₂s + (1 − β₂)g², θ ← θ − η·m̂ / (√ŝ + ε): the rule of
// ml2021.engine.optimizers.Adam, with its defaults.
export class Adam {
  constructor(size, eta) {
    Object.assign(this, { eta, updates: 0, mean: new Float64Array(size), squares: new Float64Array(size) });
  }

  step(theta, gradient) {
    const t = ++this.updates;
    const [left, leftOfSquares] = [1 - 0.9 ** t, 1 - 0.999 ** t];
    return theta.map((value, i) => {
      this.mean[i] += 0.1 * (gradient[i] - this.mean[i]);
      this.squares[i] = 0.999 * this.squares[i] + 0.001 * gradient[i] ** 2;
      const root = Math.sqrt(this.squares[i] / leftOfSquares);
      return value - (this.eta * (this.mean[i] / left)) / (root + 1e-8);
    });
  }
}

// The same curve with ReLUs: hard_sigmoid(z) = max(0, z/6 + ½) − max(0, z/6 − ½), so that each hard
// sigmoid is one ReLU that begins the rise and one that ends it.
export function asReluPairs({ constant, units, rest }) {
  const pairs = units.flatMap(({ w, b, c }) =>
    [0.5, -0.5].map((shift) => ({ w: w / 6, b: b / 6 + shift, c: shift > 0 ? c : -c })),
  );
  return { constant, units: pairs, activation: RELU, rest };
}

const STRETCHES = 12;

// One more sigmoid, in the stretch of x in which the rows are farthest from the curve together, of
// those that are without a sigmoid: two at one place would have the same slopes, and never part.
export function withOneMore(network, { u, v }) {
  const [low, high] = [Math.min(...u), Math.max(...u)];
  const misses = new Float64Array(STRETCHES);
  u.forEach((each, i) => {
    const place = Math.min(STRETCHES - 1, Math.floor(((each - low) / (high - low)) * STRETCHES));
    misses[place] += v[i] - curveAt(network, each);
  });
  const width = (high - low) / STRETCHES;
  const middleOf = (k) => low + (k + 0.5) * width;
  const isFree = (k) => network.units.every(({ w, b }) => !(Math.abs(-b / w - middleOf(k)) < width));
  const places = [...misses.keys()];
  const free = places.filter(isFree);
  const [place] = (free.length ? free : places).sort((i, k) => Math.abs(misses[k]) - Math.abs(misses[i]));
  const middle = middleOf(place);
  const unit = { w: 4, b: -4 * middle, c: 0.4 * (Math.sign(misses[place]) || 1) };
  return { ...network, units: [...network.units, unit] };
}
