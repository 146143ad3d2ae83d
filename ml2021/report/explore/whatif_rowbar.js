// Which row, in which order, with which interval, and back to the row as it was.

import { choice, segmented } from "./controls.js";
import { el } from "./dom.js";
import { ORDERS, orderedRows } from "./whatif_row.js";

export function rowBarPart(desk) {
  const { hand } = desk;
  const rows = choice({ label: "the row", hidden: true, options: [], onchange: (i) => desk.take(+i) });
  let order = "file";
  const list = () => {
    listed = hand.source;
    const places = orderedRows(listed, desk.model, order);
    rows.input.replaceChildren(...places.map((i) => el("option", { value: i }, listed.names[i])));
  };
  const orders = choice({
    label: "the order of the rows",
    hidden: true,
    value: order,
    options: Object.entries(ORDERS),
    onchange: (next) => {
      order = next;
      list();
      desk.take(+rows.input.value);
    },
  });
  let listed = null;
  const undo = el("button", { type: "button", className: "quiet", onclick: () => desk.take(hand.place) }, "as it was");
  const note = el("span", { className: "note" });
  const draw = () => {
    if (listed !== hand.source) list();
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

// What must be known of rows that are not new to the function.
function noteOn({ hand: { source }, own, payload }) {
  if (source !== own) return `from ${source.label}`;
  return payload.rows?.values.length && payload.rows.seen ? "the function was trained on these rows" : "";
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
