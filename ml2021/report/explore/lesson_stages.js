// The steps of chapter 3: forward, then from back to front.

import { restAt } from "./hand_curve.js";
import { number } from "./text.js";

const staying = ({ rest }, { x }) =>
  rest === null ? "" : `, and ${number(restAt(rest, x))} of the sigmoids that stay`;

// What is said after each step on the way of a row: {network, pass, loss, name: of the activation}.
export const STAGES = [
  () => "The row's x goes in at the left.",
  ({ name }) => `Forward: each unit has z = b + w · x, and a = ${name}(z).`,
  ({ network, pass }) => `Forward: ŷ = b + Σ c · a${staying(network, pass)}.`,
  ({ loss }) => `Forward: e = ${loss.formula}. Now from back to front.`,
  ({ loss, pass }) => `Back: ∂e/∂ŷ = ${loss.slopeFormula} = ${number(pass.over.y)}.`,
  () => "Back: ∂e/∂c = ∂e/∂ŷ · a, and ∂e/∂a = ∂e/∂ŷ · c.",
  ({ name }) => `Back: ∂e/∂z = ∂e/∂a · ${name}′(z).`,
  () => "Back: ∂e/∂w = ∂e/∂z · x, and ∂e/∂b = ∂e/∂z. Every weight has its slope: a step can be taken.",
];

// The step after which each number is known, in the graph and in the table.
export const STAGE = { z: 1, predicted: 2, error: 3, overY: 4, overA: 5, overZ: 6, overW: 7 };
