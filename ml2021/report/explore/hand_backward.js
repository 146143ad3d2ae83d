// One row through the curve's network and back, number by number. No DOM.
//
// Forward: z = b + wx, a = activation(z), ŷ = b + Σ c·a and what stays, e = loss(ŷ − y). Then from back to front by
// the chain rule: over.y is ∂e/∂ŷ, over.a[j] is ∂e/∂aⱼ, over.z[j] is ∂e/∂zⱼ.

import { restAt } from "./hand_curve.js";

export function thereAndBack({ constant, units, activation, rest }, loss, x, y) {
  const z = units.map(({ w, b }) => b + w * x);
  const a = z.map(activation.value);
  const predicted = units.reduce((sum, { c }, j) => sum + c * a[j], constant + restAt(rest, x));
  const slopes = z.map(activation.slope);
  const overY = loss.slope(predicted - y);
  const overA = units.map(({ c }) => overY * c);
  const overZ = overA.map((over, j) => over * slopes[j]);
  return {
    x,
    y,
    z,
    a,
    slopes,
    predicted,
    e: loss.value(predicted - y),
    over: { y: overY, a: overA, z: overZ },
  };
}

export const subscript = (j) => [...String(j + 1)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");

// A parameter is {kind: "w", "b" or "c", j}, or {kind: "constant"}.
export function parameterName({ kind, j }) {
  return kind === "constant" ? "b" : kind + subscript(j);
}

// ∂e/∂parameter as the product of its factors, from back to front: [{name, value}, ...].
export function factorsOf({ units, activation }, loss, pass, { kind, j }) {
  const first = { name: `∂e/∂ŷ = ${loss.slopeFormula}`, value: pass.over.y };
  if (kind === "constant") return [first, { name: "∂ŷ/∂b = 1", value: 1 }];
  const at = subscript(j);
  if (kind === "c") return [first, { name: `∂ŷ/∂c${at} = a${at}`, value: pass.a[j] }];
  return [
    first,
    { name: `∂ŷ/∂a${at} = c${at}`, value: units[j].c },
    { name: `∂a${at}/∂z${at} = ${activation.name}′(z${at})`, value: pass.slopes[j] },
    kind === "w" ? { name: `∂z${at}/∂w${at} = x`, value: pass.x } : { name: `∂z${at}/∂b${at} = 1`, value: 1 },
  ];
}

export function productOf(factors) {
  return factors.reduce((product, { value }) => product * value, 1);
}
