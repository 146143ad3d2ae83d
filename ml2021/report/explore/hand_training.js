// The curve that is moved and trained by hand, and the row that is looked at. No DOM.

import { Adam, asReluPairs, betweenSigmoids, curveLoss, firstCurve } from "./hand_curve.js";
import { parametersOf, withOneMore, withParameters } from "./hand_curve.js";
import { ROW_LOSSES } from "./hand_losses.js";

export const MOST_UNITS = 6;
export const ETA = 0.03;

// The row in the middle of the first rise, where slopes are largest, is the first to be looked at.
function nearest(values, wanted) {
  const distances = values.map((value) => Math.abs(value - wanted));
  return distances.indexOf(Math.min(...distances));
}

export class CurveTraining {
  // own: the run's own function as such a curve, or null. isOwn: whether it is what one began with.
  constructor(pairs, own = null, isOwn = false) {
    Object.assign(this, { pairs, own, loss: "mse", hard: 0, asPairs: false });
    this.begin(isOwn);
  }

  use(pairs, own = null) {
    Object.assign(this, { pairs, own });
    this.begin(this.isOwn);
  }

  begin(isOwn) {
    this.isOwn = isOwn && this.own !== null;
    const network = this.isOwn ? this.own : firstCurve();
    if (this.isOwn) Object.assign(this, { hard: network.hard, asPairs: this.asPairs && network.hard === 1 });
    const [{ w, b }] = network.units;
    this.row = nearest(this.pairs.u, -b / w);
    this.put(network);
  }

  restart() {
    this.begin(this.isOwn);
  }

  // Another network: the optimizer begins anew.
  put(network) {
    this.network = { ...network, activation: betweenSigmoids(this.hard) };
    this.forget();
  }

  forget() {
    this.epoch = 0;
    this.adam = new Adam(1 + 3 * this.network.units.length, ETA);
  }

  change(settings) {
    Object.assign(this, settings);
    if (this.asPairs) this.hard = 1;
    this.put(this.network);
  }

  // One parameter of a unit, or the constant.
  set(j, values) {
    const units = this.network.units.map((unit, k) => (k === j ? { ...unit, ...values } : unit));
    this.put({ ...this.network, units });
  }

  add() {
    this.put(withOneMore(this.network, this.pairs));
  }

  removeLast() {
    this.put({ ...this.network, units: this.network.units.slice(0, -1) });
  }

  // An epoch: one update over all rows.
  train() {
    const { gradient } = curveLoss(this.network, this.pairs, this.rowLoss);
    this.network = withParameters(this.network, this.adam.step(parametersOf(this.network), gradient));
    this.epoch++;
  }

  get rowLoss() {
    return ROW_LOSSES[this.loss];
  }

  get lossNow() {
    return curveLoss(this.network, this.pairs, this.rowLoss).value;
  }

  // The network as it is drawn: with two ReLUs for each hard sigmoid if one wants to see them.
  get shown() {
    return this.asPairs ? asReluPairs(this.network) : this.network;
  }
}
