// Several outputs as small multiples, each on its own line: all move while one is looked at.

import { el, shape } from "./dom.js";
import { clamp, linear } from "./scales.js";

const FEW = 12;
const FLOOR = 26;

// Null for one output, and where the outputs are a picture or the next steps of a series.
export function outputsPart(desk) {
  const { model, payload } = desk, { target } = model;
  if (model.isClass || model.T < 2 || payload.series || target.shape?.length === 2) return null;
  const all = target.labels.map((label, t) => multiple(desk, label, t));
  const grid = el("div", { className: "outputs", role: "group", "aria-label": "the output that is looked at" },
    all.slice(0, FEW).map(({ node }) => node));
  let shown = all.slice(0, FEW);
  const more = el("button", { type: "button", className: "quiet", onclick: () => {
    shown = all;
    grid.replaceChildren(...all.map(({ node }) => node));
    more.remove();
    desk.redraw();
  } }, `all ${all.length} outputs`);
  const draw = (frame) => shown.forEach((each) => each.draw(frame));
  return { node: el("div", {}, grid, all.length > FEW ? more : null), draw };
}

function multiple(desk, label, t) {
  const value = el("b", {});
  const svg = shape("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  const node = el("button", { type: "button", className: "output", onclick: () => desk.look(t) },
    el("span", { className: "name", title: label }, label), value, svg);
  const draw = ({ values }) => {
    value.textContent = desk.text(values[t], t);
    node.setAttribute("aria-pressed", String(t === desk.hand.output));
    svg.replaceChildren(...marks(desk, values[t], t));
  };
  return { node, draw };
}

function marks(desk, value, t) {
  const { target } = desk.model, counts = target.histograms?.[t] ?? [], top = Math.max(1, ...counts);
  const scale = linear(target.low[t], target.high[t], 4, 96), x = (v) => clamp(scale(v), 0, 100);
  const step = 92 / (counts.length || 1), half = desk.halfWidth(t), truth = desk.hand.truth?.[t] ?? NaN;
  const bars = counts.map((n, i) => n ? `M${4 + i * step},${FLOOR}v${-18 * n / top}h${step * 0.9}V${FLOOR}z` : "");
  const upright = (v, y1, kind) => shape("line", { class: kind, x1: x(v), x2: x(v), y1, y2: FLOOR });
  return [
    shape("path", { class: "bars", d: bars.join("") }),
    ...(half === null ? [] : [shape("rect", {
      class: "band", x: x(value - half), width: x(value + half) - x(value - half), y: 4, height: FLOOR - 4,
    })]),
    ...(Number.isNaN(truth) ? [] : [upright(truth, 14, "truthline")]),
    upright(value, 2, "now"),
  ];
}
