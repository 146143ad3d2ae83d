// A function of one parameter w, and the mean squared error over it: one valley, or two. No DOM.

import { ACTIVATIONS } from "./network.js";

const { sigmoid } = ACTIVATIONS;

// ŷ = wx. kind, range: of w; at(u, w): ŷ; slope(u, w): ∂ŷ/∂w; rows: those of the loss, null for all.
export function throughOrigin({ correlation }) {
  return {
    kind: "line",
    at: (u, w) => w * u,
    slope: (u) => u,
    range: [correlation - 2, correlation + 2],
    start: correlation > 0 ? correlation - 1.6 : correlation + 1.6,
    rows: null,
  };
}

// ŷ = base + height · σ(bias + wx), of which only w is moved.
function oneSigmoid({ base, height, bias, range, rows }) {
  return {
    kind: "sigmoid",
    base,
    height,
    bias,
    range,
    rows,
    at: (u, w) => base + height * sigmoid(bias + w * u),
    slope: (u, w) => {
      const a = sigmoid(bias + w * u);
      return height * a * (1 - a) * u;
    },
  };
}

// {value, slope} of the loss at w.
export function lossAt({ u, v }, shape, w) {
  const rows = shape.rows ?? u.keys();
  let [sum, over, count] = [0, 0, 0];
  for (const i of rows) {
    const difference = shape.at(u[i], w) - v[i];
    sum += difference * difference;
    over += 2 * difference * shape.slope(u[i], w);
    count++;
  }
  return { value: sum / count, slope: over / count };
}

const PLACES = 241;

// [[w, loss], ...] over a range.
export function lossCurve(data, shape, [low, high] = shape.range, places = PLACES) {
  return Array.from({ length: places }, (_, i) => {
    const w = low + ((high - low) * i) / (places - 1);
    return [w, lossAt(data, shape, w).value];
  });
}

// [{w, value}] of the valleys in a range, the lowest first.
export function valleysOf(data, shape) {
  const curve = lossCurve(data, shape);
  const isValley = (i) => curve[i][1] < curve[i - 1][1] && curve[i][1] <= curve[i + 1][1];
  return curve
    .map((_, i) => i)
    .filter((i) => i > 0 && i < curve.length - 1 && isValley(i))
    .map((i) => bottomBetween(data, shape, curve[i - 1][0], curve[i + 1][0]))
    .sort((one, other) => one.value - other.value);
}

// Where the slope changes its sign, by halving.
function bottomBetween(data, shape, low, high) {
  for (let turn = 0; turn < 60; turn++) {
    const middle = (low + high) / 2;
    if (lossAt(data, shape, middle).slope > 0) high = middle;
    else low = middle;
  }
  const w = (low + high) / 2;
  return { w, value: lossAt(data, shape, w).value };
}

const BIASES = [-5, -4, -3, -2, -1];
const HEIGHTS = [0.5, 1, 1.5, 2, 2.5, 3, 4].flatMap((height) => [height, -height]);
const LEVELS = Array.from({ length: 25 }, (_, i) => -3 + i / 4);
const REACHES = [4, 8, 16];
const SEARCH_PLACES = 81;
const CLEAR = 0.06; // share of the picture's height that walls and the difference must have

// A sigmoid whose loss over w has two clear valleys in these rows, one deeper than the other: over
// all rows if there is one, or else over two rows that pull in opposite directions; null if none.
export function twoValleys(data) {
  const found = overAllRows(data);
  if (found.score >= CLEAR) return oneSigmoid({ ...found.best, rows: null });
  return overTwoRows(data);
}

// The loss is a quadratic in base and height, so that the sums over the rows are made once for each
// bias and w. As v is standardised its mean is 0 and its square's 1.
function overAllRows(data) {
  let found = { score: 0, best: null };
  for (const bias of BIASES)
    for (const reach of REACHES) {
      const sums = sumsOver(data, bias, reach);
      for (const height of HEIGHTS)
        for (const base of LEVELS) {
          const score = clearness(sums.map((s) => quadratic(s, base, height)));
          if (score > found.score) {
            found = { score, best: { base, height, bias, range: [-reach, reach] } };
          }
        }
    }
  return found;
}

// Of each w the means of a, a² and a·v over the rows, with a = σ(bias + wu).
function sumsOver({ u, v }, bias, reach) {
  return Array.from({ length: SEARCH_PLACES }, (_, k) => {
    const w = reach * ((2 * k) / (SEARCH_PLACES - 1) - 1);
    const sums = [0, 0, 0];
    u.forEach((each, i) => {
      const a = sigmoid(bias + w * each);
      sums[0] += a;
      sums[1] += a * a;
      sums[2] += a * v[i];
    });
    return sums.map((sum) => sum / u.length);
  });
}

function quadratic([a, aa, av], base, height) {
  return 1 + base * base + height * height * aa + 2 * base * height * a - 2 * height * av;
}

// How clearly a curve has two valleys: the least of its three walls and of the difference between
// the valleys, as a share of its height; 0 if it has more or fewer than two.
function clearness(curve) {
  const lows = [];
  for (let i = 1; i + 1 < curve.length; i++)
    if (curve[i] < curve[i - 1] && curve[i] <= curve[i + 1]) lows.push(i);
  if (lows.length !== 2) return 0;
  const [left, right] = lows.map((i) => curve[i]);
  const ridge = Math.max(...curve.slice(lows[0], lows[1]));
  const walls = [curve[0] - left, curve.at(-1) - right, ridge - Math.max(left, right)];
  const height = Math.max(...curve) - Math.min(left, right);
  return Math.min(...walls, Math.abs(left - right)) / height;
}

const NEAREST = 0.08; // of the near row to the mean of x, and
const APART = 0.5; // of both rows along y, in deviations
const SHARES = { near: 0.95, far: 0.2, still: 0.3 };
const logit = (p) => Math.log(p / (1 - p));

// Two rows on one side of the mean, one near it and one far. At w = 0 the sigmoid is 0.3 of its
// height. The far row wants 0.2, which a small −w gives; the near one 0.95, which takes a large w,
// at which the far row is lost: a valley each, and a ridge where the far row is lost first.
function overTwoRows(data) {
  const { u, v } = data;
  let best = { ratio: 0 };
  u.forEach((near, i) =>
    u.forEach((far, k) => {
      const ratio = Math.abs(near) > NEAREST ? far / near : 0;
      if (ratio > best.ratio && Math.abs(v[i] - v[k]) > APART) best = { ratio, i, k };
    }),
  );
  if (best.ratio < 6) return null;
  const { i, k } = best;
  const height = (v[i] - v[k]) / (SHARES.near - SHARES.far);
  const ends = [-3 / u[k] - 0.5 / u[i], 6 / u[i]];
  const shape = oneSigmoid({
    base: v[k] - SHARES.far * height,
    height,
    bias: logit(SHARES.still),
    range: ends.sort((one, other) => one - other),
    rows: [i, k],
  });
  return valleysOf(data, shape).length === 2 ? shape : null;
}
