// One parameter w of a function in the rows of the lesson, and gradient descent on it. No DOM.

import { lossAt, lossCurve, throughOrigin, twoValleys, valleysOf } from "./hand_valley.js";

const FIRST_ETA = 0.05; // of the η that crosses the picture where it is steepest
const ON_THE_SIDE = 0.25; // of the way from the ridge to the local minimum
const LONGEST = 300; // steps of a run: one that jumps to and fro ends nowhere

export class OneParameter {
  constructor(pairs) {
    this.use(pairs, "line");
  }

  // A line or a sigmoid, in other rows or the same; a line where no sigmoid has two valleys.
  use(pairs, kind) {
    this.pairs = pairs;
    const sigmoid = kind === "sigmoid" ? twoValleys(pairs) : null;
    this.kind = sigmoid === null ? "line" : "sigmoid";
    this.isWithout = kind === "sigmoid" && sigmoid === null;
    this.shape = sigmoid ?? throughOrigin(pairs);
    this.curve = lossCurve(pairs, this.shape);
    this.valleys = valleysOf(pairs, this.shape);
    const steepest = Math.max(...this.curve.map(([w]) => Math.abs(this.lossAt(w).slope)));
    this.across = this.span / steepest;
    this.rate = FIRST_ETA * this.across;
    this.begin(this.shape.start ?? this.#nearTheWorse());
  }

  get span() {
    const [low, high] = this.shape.range;
    return high - low;
  }

  // On the ridge between the valleys, a little to the side of the one that is not the deepest.
  #nearTheWorse() {
    const [best, worse] = this.valleys;
    const between = ([w]) => w > Math.min(best.w, worse.w) && w < Math.max(best.w, worse.w);
    const [ridge] = this.curve.filter(between).reduce((top, point) => (point[1] > top[1] ? point : top));
    return ridge + ON_THE_SIDE * (worse.w - ridge);
  }

  begin(w) {
    this.at = w;
    this.trail = [];
  }

  lossAt(w) {
    return lossAt(this.pairs, this.shape, w);
  }

  get here() {
    return this.lossAt(this.at);
  }

  get next() {
    return this.at - this.rate * this.here.slope;
  }

  // Take the step; returns whether there are more to take.
  advance() {
    const { next } = this;
    this.trail = [...this.trail, this.at].slice(-LONGEST);
    this.at = next;
    const isMoving = Math.abs(this.next - next) > 1e-5 * this.span;
    return isMoving && !this.isLost && this.trail.length < LONGEST;
  }

  get isLost() {
    const [low, high] = this.shape.range;
    return !(Math.abs(this.at - (low + high) / 2) < 3 * this.span);
  }

  // Whether the slope is 0 as far as one sees.
  get isAtRest() {
    const { value, slope } = this.here;
    const isShort = Math.abs(this.next - this.at) < 1e-4 * this.span;
    return isShort && Math.abs(slope) * this.span < 0.02 * Math.max(value, 1e-9);
  }
}
