// Which row, in which order, with which interval, and back to the row as it was.

import { choice, segmented } from "./controls.js";
import { el } from "./dom.js";
import { orderedRows, ordersOf } from "./whatif_row.js";

const MOST_LISTED = 1000; // of a long file a list of all rows would be slow, and of no use

export function rowBarPart(desk) {
  const { hand } = desk;
  const rows = choice({ label: "the row", hidden: true, options: [], onchange: (i) => desk.take(+i) });
  const orders = choice({
    label: "the order of the rows",
    hidden: true,
    options: [],
    onchange: (next) => {
      list(next);
      desk.take(+rows.input.value);
    },
  });
  let listed = null;
  let shown = new Set();
  const list = (order) => {
    const { source, output } = hand;
    const places = orderedRows(source, desk.model, order, output).slice(0, MOST_LISTED);
    if (order === "file" && !places.includes(hand.place)) places.push(hand.place);
    fill(rows.input, places.map((i) => [i, source.names[i]]));
    shown = new Set(places);
  };
  const listSource = () => {
    listed = hand.source;
    fill(orders.input, Object.entries(ordersOf(listed, desk.model)));
    list("file");
  };
  const undo = el("button", { type: "button", className: "quiet", onclick: () => desk.take(hand.place) }, "as it was");
  const note = el("span", { className: "note" });
  const draw = () => {
    if (listed !== hand.source || !shown.has(hand.place)) listSource();
    rows.set(hand.place);
    undo.disabled = !hand.moved.length;
    orders.node.hidden = hand.source.rows.length < 2;
    note.textContent = noteOn(desk);
  };
  const step = (by) => {
    const { options, selectedIndex } = rows.input;
    desk.take(+options[(selectedIndex + by + options.length) % options.length].value);
  };
  const arrow = (text, label, by) =>
    el("button", { type: "button", className: "arrow", "aria-label": label, onclick: () => step(by) }, text);
  const node = el(
    "div",
    { className: "rowbar" },
    arrow("‹", "the row before", -1),
    rows.node,
    arrow("›", "the next row", 1),
    orders.node,
    levels(desk.app),
    undo,
    note,
  );
  return { node, draw };
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
}

// What must be known of rows that are not new to the function.
function noteOn({ hand: { source }, own, payload: { rows, piecewise } }) {
  if (source !== own) return `from ${source.label}`;
  if (!rows?.values.length || !rows.seen) return "";
  return source.isHeldOut
    ? "The function was trained on these rows; the worst are those that the folds missed most."
    : `The function was ${piecewise ? "built from" : "trained on"} these rows.`;
}

// Only levels that the rows which calibrated them are enough for.
function levels(app) {
  if (!app.levels.length) return null;
  const control = segmented({
    label: "the level of the interval",
    value: app.level,
    options: app.levels.map((level) => [level, `${Math.round(level * 100)} %`]),
    onchange: app.setLevel,
  });
  app.on("level", control.set);
  return el("span", { className: "levels" }, "interval ", control.node);
}
