// The cards of all columns: those first that move the prediction most, if they are many.

import { el } from "./dom.js";
import { sliced } from "./gestures.js";
import { count } from "./text.js";
import { cardOf } from "./whatif_card.js";
import { influences } from "./whatif_curve.js";
import { Walk } from "./walk.js";

const FEW = 12;
const FRAME = 9; // ms of a frame for curves; those that do not fit follow in the next ones

// Null without a column that has a card.
export function cardsPart(desk, places) {
  if (!places.length) return null;
  const isMany = places.length > FEW, order = isMany ? byInfluence(desk, places) : places;
  const cards = new Map(), grid = el("div", { className: "cards" }), slices = sliced(9);
  const show = (wanted) => {
    for (const j of wanted) if (!cards.has(j)) cards.set(j, cardOf(desk, j));
    grid.replaceChildren(...wanted.map((j) => cards.get(j).node));
    shown = wanted.map((j) => cards.get(j));
    desk.redraw();
  };
  let shown = [];
  show(order.slice(0, isMany ? FEW : order.length));

  // In a frame as many curves as it has time for, those first that have waited longest; the others
  // keep their old curve for a moment, with the handle where it belongs by now.
  const draw = (frame) => {
    const walk = new Walk(desk.model, desk.hand.values);
    const waiting = shown.filter((card) => !card.isCurrent());
    for (const card of shown) if (card.curve) card.draw(frame, !waiting.includes(card));
    waiting.sort((one, other) => one.computed - other.computed);
    const one = () => {
      const card = waiting.shift();
      if (card === undefined) return false;
      card.compute(walk);
      card.draw(frame);
      return waiting.length > 0;
    };
    slices.stop();
    while (performance.now() - frame.begun < FRAME && one());
    if (waiting.length) slices(() => !desk.isDue && one());
  };
  const lead = el("p", { className: "lead" },
    "Each curve is what would be predicted along that column, with all others as they are. " +
    "Drag a handle: the other curves follow.");
  return { node: el("div", {}, lead, grid, isMany ? finder(desk, order, show) : null), draw };
}

function byInfluence(desk, places) {
  const found = influences(desk.model, desk.hand.values);
  return [...places].sort((a, b) => found[b] - found[a]);
}

// Which of many columns are shown: the first few, those whose names hold a text, or all.
function finder(desk, order, show) {
  const { columns } = desk.model, few = () => show(order.slice(0, FEW));
  const search = el("input", { type: "search", "aria-label": "find a column", placeholder: "find a column" });
  search.addEventListener("input", () => {
    const text = search.value.trim().toLowerCase();
    if (!text) return few();
    show(order.filter((j) => columns[j].name.toLowerCase().includes(text)).slice(0, 4 * FEW));
  });
  const text = `all ${count(order.length)} columns`;
  const all = el("button", { type: "button", className: "quiet" }, text);
  all.addEventListener("click", () => { search.value = ""; show(order); });
  const first = el("button", { type: "button", className: "quiet" }, `the ${FEW} that move it most`);
  first.addEventListener("click", () => { search.value = ""; few(); });
  return el("div", { className: "finder" }, search, first, all);
}
