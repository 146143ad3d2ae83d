// What moved it: the prediction shared out among the columns, as a waterfall from a reference to it.
//
// Compared with the training rows: why is this row unlike the rest? Compared with the row as it
// was: which of the changes did what?

import { segmented } from "./controls.js";
import { el } from "./dom.js";
import { sliced } from "./gestures.js";
import { count } from "./text.js";
import {
  MOST_EXACT, ShapleySampler, isLinear, movedColumns, shapleyExact, shapleyLinear,
} from "./shapley.js";
import { waterfall } from "./whatif_waterfall.js";

const FIRST_PAIRS = 24; // before anything is shown
const MOST_PAIRS = 1200;
const LONGEST = 4000; // ms
const FINE = 0.01; // deviations: the standard error at which the sampling ends
const DISCLAIMER = "They say what moves the prediction, not what moves the world.";

// told: called with the shares (a Map) whenever they are known, to be painted elsewhere, too.
export function movedPart(desk, told = () => {}) {
  const reason = el("div", { className: "waterfall" }), note = el("p", { className: "note" });
  const slices = sliced(6), hasRows = desk.background.length > 0;
  let reference = hasRows ? "rows" : "origin";
  const show = (found, name, text) => {
    told(found?.shares ?? new Map());
    reason.replaceChildren(...(found ? waterfall(desk, found, name) : []));
    note.textContent = text;
  };
  const references = segmented({
    label: "compared with",
    value: reference,
    options: [["rows", "with the training rows"], ["origin", "with the row as it was"]],
    onchange: (next) => {
      reference = next;
      draw();
    },
  });
  const draw = () => {
    slices.stop();
    (reference === "rows" ? againstRows : againstOrigin)(desk, slices, show);
  };
  const node = el("section", { className: "panel" }, el("h2", {}, "What moved it"),
    hasRows ? references.node : null, reason, note);
  return { node, draw };
}

function againstOrigin(desk, slices, show) {
  const { model, hand } = desk, { values, origin, output } = hand;
  const moved = movedColumns(values, origin), name = "the row as it was";
  if (!moved.length) {
    return show(null, name, "Nothing is changed yet. Change a column, and this says which change did what.");
  }
  if (moved.length > MOST_EXACT) return sample(desk, [origin], slices, show, name, "the row as it was");
  const changes = moved.length === 1 ? "change" : `${moved.length} changes`;
  show(shapleyExact(model, values, origin, output), name,
    `Exact: the mean over every order of making the ${changes} (Shapley values).`);
}

function againstRows(desk, slices, show) {
  const { model, hand, background } = desk, { values, output } = hand;
  const rows = `${count(background.length)} training rows`, name = "training rows, mean";
  if (!isLinear(model)) return sample(desk, background, slices, show, name, rows);
  show(shapleyLinear(model, values, background, output), name,
    `Exact, by the formula: in a linear model a column's share is its weight times its distance ` +
    `from the mean of ${rows}. ${DISCLAIMER}`);
}

// By random orders, a few in each frame, until the shares have settled.
function sample(desk, rows, slices, show, name, reference) {
  const { model, hand } = desk, scale = model.isClass ? 0.3 : model.target.scales[hand.output];
  const sampler = new ShapleySampler(model, hand.values, rows, hand.output), begun = performance.now();
  slices(() => {
    sampler.step();
    if (sampler.pairs % FIRST_PAIRS) return true;
    const found = sampler.result(), worst = Math.max(...found.errors.values());
    show(found, name,
      `Shapley values against ${reference}, from ${count(2 * sampler.pairs)} random orders; ` +
      `the whisker is twice the standard error. ${DISCLAIMER}`);
    return worst > FINE * scale && sampler.pairs < MOST_PAIRS && performance.now() - begun < LONGEST;
  });
}
