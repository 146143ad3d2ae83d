// One parameter w of a function in the rows of the lesson, and gradient descent on it. No DOM.

import { lossAt, lossCurve, throughOrigin, twoValleys, valleysOf } from "./hand_valley.js";
import { clamp } from "./scales.js";

const FIRST_ETAS = [0.05, 0.1, 0.2, 0.4, 0.8]; // of the η that crosses the picture where it is steepest
const SOON = 200; // steps within which the first η shall find the valley
const ON_THE_SIDE = 0.25; // of the way from the ridge to the local minimum
const LONGEST = 3000; // steps of a run: one that jumps to and fro ends nowhere
const FARTHEST = 20; // spans beyond the picture to which it grows
const SHOWN = 300; // the last steps, which are drawn
const SLOWLY = 100; // steps that are shown one by one
const AT_ONCE = 10; // after them

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
    const start = this.shape.start ?? this.#nearTheWorse();
    this.rate = this.#firstRate(start);
    this.begin(start);
  }

  // The least that soon finds the valley one begins beside.
  #firstRate(start) {
    const { w: bottom } = this.valleys.at(-1);
    const rates = FIRST_ETAS.map((share) => share * this.across);
    const isSoon = (rate) => {
      let w = start;
      for (let i = 0; i < SOON; i++) w -= rate * this.lossAt(w).slope;
      return Math.abs(w - bottom) < 0.01 * this.span;
    };
    return rates.find(isSoon) ?? rates[0];
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
    this.steps = 0;
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
    this.trail = [...this.trail, this.at].slice(-SHOWN);
    this.at = next;
    this.steps++;
    const isMoving = !this.isAtRest || Math.abs(this.next - next) > 1e-5 * this.span;
    return isMoving && !this.isLost && !this.isTired;
  }

  // What a run does between two pictures: after a while more steps, for a flat stretch takes many.
  advanceMore() {
    const count = this.steps < SLOWLY ? 1 : AT_ONCE;
    for (let i = 0; i < count; i++) if (!this.advance()) return false;
    return true;
  }

  // Whether a run ends here for the number of its steps alone.
  get isTired() {
    return this.steps > 0 && this.steps % LONGEST === 0;
  }

  // The part of the axis that is seen: the whole way, too, so that steps that grow stay in the picture.
  get view() {
    const [low, high] = this.shape.range;
    if (!this.trail.length) return [low, high];
    const far = FARTHEST * this.span;
    const way = [...this.trail, this.at, this.next].map((w) => clamp(w, low - far, high + far));
    return [Math.min(low, ...way), Math.max(high, ...way)];
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
