// One network: layers of weighted sums, and an activation between them.
//
// Weights are the float32 of training, sums and activations float64, as when ml2021 predicts.

export const ACTIVATIONS = {
  relu: (z) => (z > 0 ? z : 0),
  sigmoid: (z) => 1 / (1 + Math.exp(-z)),
  hard_sigmoid: (z) => Math.min(1, Math.max(0, z / 6 + 0.5)),
};

export class Network {
  // theta: Float32Array of all members; this one's parameters begin at `offset`. Each layer has the
  // rows (weights..., bias) of its outputs.
  constructor(sizes, activation, theta, offset = 0) {
    this.sizes = sizes;
    this.activation = activation;
    this.layers = [];
    for (let l = 0; l + 1 < sizes.length; l++) {
      const [inputs, outputs] = [sizes[l], sizes[l + 1]];
      const weights = theta.subarray(offset, offset + outputs * (inputs + 1));
      this.layers.push({ inputs, outputs, weights });
      offset += weights.length;
    }
    this.places = sizes.slice(1).map((size) => new Float64Array(size));
    this.own = new Float64Array(sizes[1]);
  }

  // The sums of the first layer.
  first(x, sums = new Float64Array(this.sizes[1])) {
    multiply(this.layers[0], x, sums);
    return sums;
  }

  // Add to the sums of the first layer what a change of one input does.
  addInput(sums, input, step) {
    const { inputs, outputs, weights } = this.layers[0];
    for (let o = 0, at = input; o < outputs; o++, at += inputs + 1) sums[o] += weights[at] * step;
  }

  // The outputs, given the sums of the first layer; the next call overwrites them.
  rest(sums) {
    const activate = ACTIVATIONS[this.activation];
    let from = sums;
    for (let l = 1; l < this.layers.length; l++) {
      const values = this.places[l - 1];
      for (let i = 0; i < values.length; i++) values[i] = activate(from[i]);
      from = this.places[l];
      multiply(this.layers[l], values, from);
    }
    return from;
  }

  outputs(x) {
    return this.rest(this.first(x, this.own));
  }
}

// sums = W x + b, in four sums side by side: twice as fast as one after the other.
function multiply({ inputs, outputs, weights }, x, sums) {
  const whole = inputs & ~3;
  for (let o = 0, at = 0; o < outputs; o++, at += inputs + 1) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < whole; i += 4) {
      a += weights[at + i] * x[i];
      b += weights[at + i + 1] * x[i + 1];
      c += weights[at + i + 2] * x[i + 2];
      d += weights[at + i + 3] * x[i + 3];
    }
    for (let i = whole; i < inputs; i++) a += weights[at + i] * x[i];
    sums[o] = a + b + (c + d) + weights[at + inputs];
  }
}
