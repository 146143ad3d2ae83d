// The line ŷ = b + wx and its loss, over all rows or some of them; θ is [b, w]. No DOM.

import { ROW_LOSSES } from "./hand_losses.js";

// {value, gradient} of the mean loss; rows: places of the rows of a batch, null for all of them.
export function lineLoss({ u, v }, loss, [b, w], rows = null) {
  const { value, slope } = ROW_LOSSES[loss];
  const places = rows ?? u.keys();
  let sum = 0;
  let overB = 0;
  let overW = 0;
  let count = 0;
  for (const i of places) {
    const difference = b + w * u[i] - v[i];
    const own = slope(difference);
    sum += value(difference);
    overB += own;
    overW += own * u[i];
    count++;
  }
  return { value: sum / count, gradient: [overB / count, overW / count] };
}

// θ after one step of gradient descent.
export function stepped(theta, gradient, eta) {
  return theta.map((value, k) => value - eta * gradient[k]);
}

// What the bowl of the squared error looks like: where it is lowest, how far to look around there,
// and the η from which on its steps grow, one over the larger eigenvalue of the mean of (1, u)(1, u)ᵀ.
export function bowlOf(data) {
  const { meanU, meanV, uu, vv, uv } = momentsOf(data);
  const slope = uv / uu;
  const half = (1 + uu + meanU * meanU) / 2;
  const largest = half + Math.sqrt(Math.max(0, half * half - uu));
  const [scaleU, scaleV] = [uu, vv].map(Math.sqrt);
  return {
    best: [meanV - slope * meanU, slope],
    reach: [1.9 * scaleV * Math.hypot(1, meanU / scaleU), (1.9 * scaleV) / scaleU],
    limit: 1 / largest,
  };
}

// The mean squared error of [b, w] as the quadratic that it is, without a sum over the rows each time.
export function squaredError(data) {
  const { meanU, meanV, uu, vv, uv } = momentsOf(data);
  return ([b, w]) => (b + w * meanU - meanV) ** 2 + w * w * uu - 2 * w * uv + vv;
}

// Means, variances and the covariance.
function momentsOf({ u, v }) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanU, meanV] = [mean(u), mean(v)];
  return {
    meanU,
    meanV,
    uu: mean(u.map((value) => (value - meanU) ** 2)),
    vv: mean(v.map((value) => (value - meanV) ** 2)),
    uv: mean(u.map((value, i) => (value - meanU) * (v[i] - meanV))),
  };
}

// A wrong line to begin with, so that there is a way to go: on the surface up to the left or right.
export function firstLine({ best, reach }) {
  const away = best[1] > 0 ? -0.7 : 0.7;
  const w = best[1] + away * reach[1];
  return [best[0] - 0.55 * reach[0], w];
}

const REWEIGHTINGS = 60;
const FIRST_NEAREST = 0.3; // deviations
const CLOSER = 0.75;

// The line whose loss is lowest: least squares with weights slope(d) / d, again and again
// (iteratively reweighted least squares; for MSE the weights are all alike). A row on the line would
// hold it for ever by its weight, so that d counts as at least a distance that shrinks.
export function bestLine({ u, v, deviation = 1 }, loss) {
  const { slope } = ROW_LOSSES[loss];
  let weights = u.map(() => 1);
  let theta = weightedLine(u, v, weights);
  if (loss === "mse") return theta;
  for (let turn = 0; turn < REWEIGHTINGS; turn++) {
    const nearest = deviation * FIRST_NEAREST * CLOSER ** turn;
    weights = u.map((value, i) => {
      const distance = Math.max(nearest, Math.abs(theta[0] + theta[1] * value - v[i]));
      return slope(distance) / distance;
    });
    theta = weightedLine(u, v, weights);
  }
  return theta;
}

function weightedLine(u, v, weights) {
  let [whole, sumU, sumV] = [0, 0, 0];
  weights.forEach((weight, i) => {
    whole += weight;
    sumU += weight * u[i];
    sumV += weight * v[i];
  });
  const [meanU, meanV] = [sumU / whole, sumV / whole];
  let [over, under] = [0, 0];
  weights.forEach((weight, i) => {
    over += weight * (u[i] - meanU) * (v[i] - meanV);
    under += weight * (u[i] - meanU) ** 2;
  });
  const slope = over / under;
  return [meanV - slope * meanU, slope];
}

// The same rows, one of them `deviations` higher.
export function withOutlier(data, row, deviations) {
  if (deviations === 0) return data;
  return { ...data, v: data.v.map((value, i) => (i === row ? value + deviations * data.deviation : value)) };
}

// How much of a loss is one row's.
export function shareOf({ u, v }, loss, [b, w], row) {
  const { value } = ROW_LOSSES[loss];
  const errors = u.map((each, i) => value(b + w * each - v[i]));
  const sum = errors.reduce((all, each) => all + each, 0);
  return sum > 0 ? errors[row] / sum : 0;
}
