// The prediction on a line: where the training targets lie, the interval as a band, the prediction
// as a pin, the truth as ◆, and the prediction before the changes as a dotted line.

import { el, set, shape } from "./dom.js";
import { sized } from "./gestures.js";
import { clamp, linear, ticks } from "./scales.js";
import { shorts } from "./text.js";

const HEIGHT = 76;
const FLOOR = 52;
const BARS = 34;
const EDGE = 8;

export function stripPart(desk) {
  const svg = shape("svg", { height: HEIGHT, "aria-hidden": "true" });
  const node = el("div", { className: "strip" }, svg);
  let width = 0, last = null;
  const draw = (frame) => {
    last = frame;
    if (!width) return;
    const x = linear(frame.low, frame.high, EDGE, width - EDGE);
    svg.replaceChildren(...bars(desk, x), ...interval(frame, x, width), ...axis(frame, x, width),
      ...marks(desk, frame, x));
  };
  sized(node, (to) => {
    width = to;
    set(svg, { width });
    if (last) draw(last);
  });
  return { node, draw };
}

function bars({ hand: { output }, model: { target } }, x) {
  const counts = target.histograms?.[output];
  if (!counts) return [];
  const left = x(target.low[output]), step = (x(target.high[output]) - left) / counts.length;
  const top = Math.max(1, ...counts), wide = Math.max(0.8, step - 0.7);
  const d = counts.map((n, i) => n
    ? `M${left + i * step},${FLOOR}v${-BARS * n / top}h${wide}V${FLOOR}z` : "").join("");
  return [shape("path", { class: "bars", d })];
}

// Dashed where it promises nothing: for a row outside of training, or like no row of it.
function interval({ now, half, isFar, outside }, x, width) {
  if (half === null) return [];
  const [a, b] = [now - half, now + half].map((v) => clamp(x(v), 0, width));
  const off = isFar || outside.length ? " off" : "";
  return [
    shape("rect", { x: a, y: 12, width: Math.max(1, b - a), height: FLOOR - 12, class: `band${off}` }),
    shape("path", { d: `M${a},12V${FLOOR}M${b},12V${FLOOR}`, class: `whiskers${off}` }),
  ];
}

function axis({ low, high }, x, width) {
  const line = shape("line", { x1: EDGE, x2: width - EDGE, y1: FLOOR, y2: FLOOR, class: "axis" });
  const values = ticks(low, high, width > 500 ? 8 : 3), texts = shorts(values);
  const marks = values.flatMap((v, i) => {
    const at = x(v), text = shape("text", {
      x: clamp(at, EDGE + 4 * texts[i].length, width - EDGE - 4 * texts[i].length), y: 70, class: "tick",
      "text-anchor": "middle", text: texts[i],
    });
    return [shape("line", { x1: at, x2: at, y1: FLOOR, y2: FLOOR + 4, class: "axis" }), text];
  });
  return [line, ...marks];
}

function marks({ hand }, { now, was }, x) {
  const truth = hand.truth?.[hand.output] ?? NaN, upright = (v, y1, kind) =>
    shape("line", { x1: x(v), x2: x(v), y1, y2: FLOOR, class: kind });
  return [
    ...(hand.moved.length ? [upright(was, 8, "wasline")] : []),
    ...(Number.isNaN(truth) ? [] : [shape("path", {
      class: "diamond", d: `M${x(truth)},${FLOOR - 7}l6,7l-6,7l-6,-7z`,
    })]),
    upright(now, 3, "now"),
    shape("circle", { cx: x(now), cy: 7, r: 5.5, class: "nowdot" }),
  ];
}
