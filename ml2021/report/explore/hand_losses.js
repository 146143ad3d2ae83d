// The loss e of one row, by its difference d = ŷ − y, and the slope de/dd. As ml2021.engine.losses
// has them, with δ = 1 for Huber's. No DOM.

const clipped = (d) => Math.min(1, Math.max(-1, d));

export const ROW_LOSSES = {
  mse: {
    name: "MSE",
    formula: "(ŷ − y)²",
    slopeFormula: "2(ŷ − y)",
    value: (d) => d * d,
    slope: (d) => 2 * d,
  },
  mae: {
    name: "MAE",
    formula: "|ŷ − y|",
    slopeFormula: "sign(ŷ − y)",
    value: Math.abs,
    slope: Math.sign,
  },
  huber: {
    name: "Huber",
    formula: "½(ŷ − y)², and from 1 on |ŷ − y| − ½",
    slopeFormula: "ŷ − y, kept from −1 to 1",
    value: (d) => clipped(d) * (d - clipped(d) / 2),
    slope: clipped,
  },
};

export const LOSS_OPTIONS = Object.entries(ROW_LOSSES).map(([key, { name }]) => [key, name]);
