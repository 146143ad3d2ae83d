// The truth along, the prediction up: a point a row, the interval as a band around the diagonal.

import { el, picture, shape } from "./dom.js";
import { sized } from "./gestures.js";
import { besideAxis, linear, ticks } from "./scales.js";
import { shorts } from "./text.js";

const LARGEST = 460;
const MARGIN = { left: 52, right: 10, top: 18, bottom: 40 };

// points: [{truth, value, row}]; half: half an interval's width, or null; choose(row): on a tap, or
// null. The same rows are in the table below by keys.
export function scatter({ points, half, name, choose }) {
  const box = el("div", { className: "scatter" });
  const svg = picture(`${name}: the truth along, the prediction up, ${points.length} rows`);
  box.append(svg);
  const all = points.flatMap(({ truth, value }) => [truth, value]);
  const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
  sized(box, (width) => {
    const size = Math.min(width, LARGEST);
    const x = linear(low, high, MARGIN.left, size - MARGIN.right);
    const y = linear(low, high, size - MARGIN.bottom, MARGIN.top);
    svg.setAttribute("width", size);
    svg.setAttribute("height", size);
    svg.replaceChildren(...band(x, y, low, high, half), ...axes(x, y, low, high, size, name));
    for (const { truth, value, row } of points) {
      const dot = shape("circle", { class: choose ? "dot chosen" : "dot", cx: x(truth), cy: y(value), r: 3 });
      if (choose) dot.addEventListener("click", () => choose(row));
      svg.append(dot);
    }
  });
  return box;
}

function band(x, y, low, high, half) {
  if (half === null) return [];
  const inside = (value) => Math.min(high, Math.max(low, value));
  const upper = `M${x(low)},${y(inside(low + half))}L${x(inside(high - half))},${y(high)}H${x(high)}`;
  const lower = `V${y(inside(high - half))}L${x(inside(low + half))},${y(low)}H${x(low)}z`;
  return [shape("path", { class: "band", d: upper + lower })];
}

function axes(x, y, low, high, size, name) {
  const floor = size - MARGIN.bottom;
  const values = ticks(low, high, size < 400 ? 3 : 5), texts = shorts(values);
  const [beside, anchor] = besideAxis(texts, MARGIN.left);
  const marks = values.flatMap((tick, i) => [
    shape("text", { x: x(tick), y: floor + 16, "text-anchor": "middle", text: texts[i] }),
    shape("text", { x: beside, y: y(tick) + 4, "text-anchor": anchor, text: texts[i] }),
  ]);
  return [
    shape("path", { class: "axis", d: `M${MARGIN.left},${MARGIN.top}V${floor}H${size - MARGIN.right}` }),
    shape("path", { class: "diagonal", d: `M${x(low)},${y(low)}L${x(high)},${y(high)}` }),
    ...marks,
    shape("text", { x: MARGIN.left + 4, y: 12, text: `predicted ${name}` }),
    shape("text", { x: size - MARGIN.right, y: size - 6, "text-anchor": "end", text: `true ${name}` }),
  ];
}
