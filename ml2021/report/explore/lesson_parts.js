// What the chapters of By hand share: pictures that fit their width, rows as dots, axes in the units
// of the table, the update in numbers, and Run.

import { slider } from "./controls.js";
import { el, picture, set, shape } from "./dom.js";
import { prefersStill, sized } from "./gestures.js";
import { besideAxis, clamp, linear, ticks } from "./scales.js";
import { number, short, shorts } from "./text.js";

const NARROW = 480;
const BEYOND = 4000; // pixels outside of a picture at which lines end
export const MARGINS = { left: 46, right: 10, top: 16, bottom: 36 };

// A chapter with its heading and a first paragraph.
export function chapter(id, title, lead, ...content) {
  const heading = el("h2", { id: `${id}-title`, tabIndex: -1 }, title);
  return el(
    "section",
    { id, className: "lesson", "aria-labelledby": `${id}-title` },
    heading,
    el("p", {}, lead),
    content,
  );
}

// A picture as wide as its place; heights: [wide, narrow]. draw(svg, {width, height}).
export function figure(label, heights, draw) {
  const svg = picture(label);
  const node = el("div", { className: "figure" }, svg);
  const redraw = sized(node, (width) => {
    const height = width < NARROW ? heights[1] : heights[0];
    set(svg, { width, height });
    draw(svg, { width, height });
  });
  return { node, svg, redraw };
}

// Scales of u and v with some room around the rows.
export function scalesOf({ u, v }, { width, height }) {
  const { left, right, top, bottom } = MARGINS;
  return {
    x: linear(...widened(u, 0.04), left, width - right),
    y: linear(...widened(v, 0.06), height - bottom, top),
  };
}

function widened(values, share) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [low - share * (high - low), high + share * (high - low)];
}

// Both axes, with ticks in the units of the table; x, y: scales of `scalesOf`.
export function axes(pairs, { x, y }, { width, height }) {
  const { left, right, top, bottom } = MARGINS;
  const floor = height - bottom;
  const back = (column, value) => value * column.scale + column.mean;
  const place = (column, value) => (value - column.mean) / column.scale;
  const along = ticks(
    back(pairs.x, x.invert(left)),
    back(pairs.x, x.invert(width - right)),
    width < NARROW ? 3 : 5,
  );
  const upward = ticks(back(pairs.y, y.invert(floor)), back(pairs.y, y.invert(top)), 6);
  const marks = shorts(upward);
  const [at, anchor] = besideAxis(marks, left);
  return [
    shape("path", { class: "axis", d: `M${left},${top}V${floor}H${width - right}` }),
    ...shorts(along).map((text, i) => words(text, x(place(pairs.x, along[i])), floor + 14, "middle")),
    ...marks.map((text, i) => words(text, at, y(place(pairs.y, upward[i])) + 4, anchor)),
    words(`${shortened(pairs.x.name, width)} →`, width - right, height - 4, "end", "of-axis"),
    words(`↑ ${shortened(pairs.y.name, width)}`, left + 5, top - 4, "start", "of-axis"),
  ];
}

// A name that fits half of the picture.
function shortened(name, width) {
  const most = Math.max(8, Math.floor(width / 14));
  const letters = [...name];
  return letters.length <= most ? name : `${letters.slice(0, most - 1).join("")}…`;
}

export function words(text, x, y, anchor = "start", kind = "") {
  return shape("text", { text, x: x.toFixed(1), y: y.toFixed(1), "text-anchor": anchor, class: kind });
}

// Points as dots of one path: 300 elements would be too slow to draw anew in each frame.
export function dots(xs, ys, { x, y }, places = xs.keys(), kind = "rows") {
  const d = Array.from(places, (i) => `M${x(xs[i]).toFixed(1)},${y(ys[i]).toFixed(1)}h0`).join("");
  return shape("path", { class: kind, d });
}

// A path through points in pixels, which ends a little outside of any picture.
export function through(points) {
  const text = points.map((point) =>
    point.map((value) => clamp(value, -BEYOND, BEYOND).toFixed(1)).join(","),
  );
  return text.length ? `M${text.join("L")}` : "";
}

// An arrow in pixels; nothing if it is too short to have a head.
export function arrow([x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (!(length > 3) || !Number.isFinite(length)) return "";
  const size = Math.min(9, 0.6 * length) / length;
  const [back, side] = [size * (x1 - x0), size * (y1 - y0)];
  const wings = [1, -1].map((sign) => [x1 - back + sign * 0.55 * side, y1 - side - sign * 0.55 * back]);
  return (
    through([
      [x0, y0],
      [x1, y1],
    ]) + through([wings[0], [x1, y1], wings[1]])
  );
}

// A handle. put(x, y) moves it. holder: the node of its figure, where a finger on the handle shall
// drag it instead of scrolling the page; shapes cannot ask for that, so that it has a place over it.
export function grip(radius = 7, holder = null) {
  const node = shape("circle", { r: radius, class: "grip" });
  const hold = el("div", { className: "hold" });
  if (holder !== null) holder.append(hold);
  const put = (x, y) => {
    set(node, { cx: x.toFixed(1), cy: y.toFixed(1) });
    hold.style.left = `${x}px`;
    hold.style.top = `${y}px`;
  };
  const remove = () => [node, hold].forEach((each) => each.remove());
  return { node, put, remove };
}

export function clipped(id, { width, height }, ...content) {
  const { left, right, top, bottom } = MARGINS;
  const area = {
    x: left,
    y: top - 8,
    width: Math.max(0, width - left - right),
    height: height - top - bottom + 8,
  };
  const clip = shape("clipPath", { id }, shape("rect", area));
  return [clip, shape("g", { "clip-path": `url(#${id})` }, content.flat())];
}

// θ ← now − η · slope = next, a line for each parameter: [[name, now, slope, next], ...].
export function updateTable(lines, eta) {
  const cell = (text, kind) => el("td", { className: kind }, text);
  const head = ["", "now", "", "η", "slope", "", "next"].map((text) => el("th", {}, text));
  const bodies = lines.map(([name, now, slope, next]) =>
    el(
      "tr",
      {},
      cell(`${name} ←`),
      cell(number(now), "now"),
      cell("−"),
      cell(`${etaText(eta)} ·`),
      cell(bracketed(slope), "slope"),
      cell("="),
      cell(number(next), "next"),
    ),
  );
  return el("table", { className: "update" }, el("tr", {}, head), bodies);
}

export function bracketed(value) {
  return value < 0 ? `(${number(value)})` : number(value);
}

const etaText = (eta) => short(Number(eta.toPrecision(2)));

// A slider of the learning rate by its logarithm. fit(low, high, eta) sets its range, and returns the
// learning rate that it has then.
export function etaSlider(oninput) {
  const control = slider({
    label: "learning rate η",
    min: -3,
    max: 1,
    step: 0.01,
    value: -1,
    text: (power) => etaText(10 ** power),
    oninput: (power) => oninput(10 ** power),
  });
  const fit = (low, high, eta) => {
    control.input.min = Math.log10(low).toFixed(2);
    control.input.max = Math.log10(high).toFixed(2);
    control.set(Math.log10(eta).toFixed(2));
    return 10 ** Number(control.input.value);
  };
  return { node: control.node, fit };
}

// A sentence on what is going on; kind: "good", "bad" or "".
export function verdict() {
  const node = el("p", { className: "verdict", role: "status" });
  const say = (text, kind = "") => {
    node.className = `verdict ${kind}`;
    if (node.textContent !== text) node.textContent = text;
  };
  return { node, say };
}

const PAUSE = 45;
const STILL_PAUSE = 400; // for those who prefer reduced motion

// Run and Pause. step() does one step and returns whether there is more to do; draw() shows it. What
// changes with each step is not read out meanwhile.
export function player(app, { label, step, draw, pause = PAUSE }) {
  let timer = 0;
  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    show(label);
  };
  const turn = () => {
    timer = setTimeout(turn, prefersStill() ? STILL_PAUSE : pause);
    if (!step()) stop();
    draw();
  };
  const node = el("button", { type: "button", onclick: () => (timer ? stop() : begin()) }, label);
  const show = (text) => {
    node.textContent = text;
    node.closest("section")?.setAttribute("aria-busy", String(text !== label));
  };
  const begin = () => {
    show("Pause");
    turn();
  };
  app.on("tab", stop);
  return { node, stop };
}
