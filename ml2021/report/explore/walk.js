// A row whose columns are changed one after another. Only what changed goes through the first layer
// again, which is most of the work of a curve, of a map and of Shapley values. No DOM.

import { encodeColumn } from "./model.js";

export class Walk {
  constructor(model, values) {
    this.model = model;
    this.x = model.encode(values, new Float64Array(model.F));
    this.next = new Float64Array(model.F);
    this.sums = model.networks.map((network) => network.first(this.x));
    this.members = model.networks.map(() => new Float64Array(model.T));
    this.mean = new Float64Array(model.T);
  }

  put(j, value) {
    const { model, x, next } = this;
    const column = model.columns[j];
    encodeColumn(column, value, next);
    for (let i = column.start; i < column.start + column.width; i++) {
      const step = next[i] - x[i];
      if (step === 0) continue;
      x[i] = next[i];
      model.networks.forEach((network, k) => network.addInput(this.sums[k], i, step));
    }
  }

  // The outputs (T) in the units of the data, or probabilities, a mean over `members`, which then
  // hold each one's own. The next call overwrites both.
  predict() {
    const { model, members, mean } = this;
    mean.fill(0);
    model.networks.forEach((network, k) => {
      model.restore(network.rest(this.sums[k]), members[k]);
      for (let t = 0; t < mean.length; t++) mean[t] += members[k][t] / members.length;
    });
    return mean;
  }
}
