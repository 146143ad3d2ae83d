// Gradient descent on a line, step by step, with what the pictures show of it. No DOM.

import { Batches, asTheyAre } from "./hand_columns.js";
import { bowlOf, firstLine, lineLoss, stepped, withOutlier } from "./hand_line.js";

const FAR = 50; // times the reach of the surface
const LONGEST = 2000; // steps whose way is kept
const FIRST_SHARE = 0.12; // of the η from which on the steps grow

export class LineDescent {
  // pairs: of `pairsOf`. settings: {loss, size (rows of a step, null for all), standardised, outlier
  // (deviations by which one row is moved up)}.
  constructor(pairs, settings) {
    this.settings = settings;
    this.use(pairs);
  }

  use(pairs) {
    this.pairs = pairs;
    this.seed = 0;
    this.#measure();
    this.eta = FIRST_SHARE * this.bowl.limit;
    this.restart();
  }

  // A new setting. Other units are another surface, on which one begins anew.
  change(settings) {
    const { standardised, size } = this.settings;
    this.settings = { ...this.settings, ...settings };
    if (standardised !== this.settings.standardised) return this.use(this.pairs);
    this.#measure();
    if (size !== this.settings.size) this.#newBatches();
    this.moveTo(this.theta);
  }

  #measure() {
    const { standardised, outlier } = this.settings;
    const data = standardised ? this.pairs : asTheyAre(this.pairs);
    this.plain = { ...data, deviation: standardised ? 1 : this.pairs.y.scale };
    this.outlierRow = data.u.indexOf(Math.max(...data.u));
    this.data = withOutlier(this.plain, this.outlierRow, outlier);
    this.bowl = bowlOf(this.plain);
  }

  #newBatches() {
    const { length } = this.data.u;
    this.batches = new Batches(length, this.settings.size ?? length, ++this.seed);
  }

  restart() {
    this.#newBatches();
    this.moveTo(firstLine(this.bowl));
  }

  moveTo(theta) {
    this.theta = theta;
    this.way = [theta];
    this.losses = [];
  }

  lossAt(theta, rows = null) {
    return lineLoss(this.data, this.settings.loss, theta, rows);
  }

  // What the next step does: {gradient, theta, loss: over all rows}, over the next batch's rows.
  get next() {
    const { gradient } = this.lossAt(this.theta, this.batches.next);
    const theta = stepped(this.theta, gradient, this.eta);
    return { gradient, theta, loss: this.lossAt(theta).value };
  }

  step() {
    if (this.losses.length === 0) this.losses.push(this.lossAt(this.theta).value);
    const { theta, loss } = this.next;
    this.theta = theta;
    this.way.push(theta);
    if (this.way.length > LONGEST) this.way.splice(1, 1);
    this.losses.push(loss);
    this.batches.advance();
  }

  get hasDiverged() {
    const { best, reach } = this.bowl;
    return this.theta.some((value, k) => !(Math.abs(value - best[k]) < FAR * reach[k]));
  }

  // Whether the slope over all rows is flat, in steps of the size of the picture.
  get isAtRest() {
    const { value, gradient } = this.lossAt(this.theta);
    const drop = Math.hypot(...gradient.map((slope, k) => slope * this.bowl.reach[k]));
    return drop < 1e-6 * Math.max(value, 1e-9);
  }
}
