// A card is a column: its slider, its histogram, its training range and what would be predicted
// along it are one picture, whose handle sits on the curve. All cards share the axis of the
// prediction, so that all handles lie on one level.

import { choice, numberInput } from "./controls.js";
import { el, set, shape } from "./dom.js";
import { draggable, sized } from "./gestures.js";
import { isTooFar } from "./model.js";
import { clamp, linear } from "./scales.js";
import { number, plain, short } from "./text.js";
import { domainOf, placesOf, snapped } from "./whatif_curve.js";

const HEIGHT = 112;
const FLOOR = 98; // where the histogram stands
const BARS = 28; // its height
const EDGE = 6;

export function valueText(column, value) {
  if (column.kind === "category") return column.labels[value] ?? "(another)";
  return Number.isNaN(value) ? "(missing)" : column.value ? inColumn(column, value) : "(known)";
}

// A year is no quantity: no mark in it.
const inColumn = ({ date }, value) => (date === null ? short(value) : plain(value));

export function cardOf(desk, j) {
  const column = desk.model.columns[j];
  const isSlider = column.kind === "number" && column.value;
  return isSlider ? new NumberCard(desk, j) : new ChoiceCard(desk, j);
}

class Card {
  // control: {node, set}, with the column's name.
  constructor(desk, j, control) {
    Object.assign(this, { desk, j, control, column: desk.model.columns[j], width: 0, computed: 0 });
    this.svg = shape("svg", { "aria-hidden": "true", height: HEIGHT });
    this.plot = el("div", { className: "plot" }, this.svg);
    const { name } = this.column;
    this.node = el("div", { className: "card" },
      el("div", { className: "head" }, el("span", { className: "name", title: name }, name), control.node),
      this.plot);
    this.redraw = sized(this.plot, (width) => this.#resize(width));
  }

  #resize(width) {
    this.width = width;
    set(this.svg, { width });
    this.drawGround();
    if (this.curve) this.draw(this.desk.frame);
  }

  get now() { return this.desk.hand.values[this.j]; }
  get was() { return this.desk.hand.origin[this.j]; }
  put(value) { this.desk.change([this.j, value]); }

  // Whether its curve is the row's: a curve does not depend on where the handle is on it.
  isCurrent() {
    const { model, hand: { output, values } } = this.desk, { given } = this;
    return given?.model === model && given.output === output &&
      values.every((value, k) => k === this.j || Object.is(value, given.values[k]));
  }

  // Follow the column from place to place. walk: of the row, and left as it was.
  compute(walk) {
    const { model, hand: { output, values } } = this.desk, count = walk.members.length;
    Object.assign(this, { given: { model, output, values: [...values] }, computed: performance.now() });
    this.members = count > 1 ? walk.members.map(() => []) : [];
    this.curve = this.places.map((value) => {
      walk.put(this.j, value);
      const predicted = walk.predict()[output];
      this.members.forEach((curve, k) => curve.push(walk.members[k][output]));
      return predicted;
    });
    walk.put(this.j, this.now);
  }

  // For a frame whose time is over: the handle at once, the curve in one of the next frames.
  draw(frame, withCurve = true) {
    this.node.classList.toggle("changed", !Object.is(this.now, this.was));
    this.drawControl(frame);
    if (!this.width) return;
    if (withCurve) this.drawCurve(frame);
    this.drawHandle(frame);
  }

  // Where a prediction lies; beyond the picture, just outside of it.
  level({ low, high }) {
    const y = linear(low, high, FLOOR - 4, 8);
    return (value) => clamp(y(value), -40, HEIGHT + 40);
  }

  bars(left, step, fill) {
    const counts = this.column.histogram ?? [], top = Math.max(1, ...counts);
    const width = Math.max(0.8, step * fill), inset = (step - width) / 2;
    return counts.map((count, i) => count
      ? `M${left + i * step + inset},${FLOOR}v${-BARS * count / top}h${width}V${FLOOR}z` : "").join("");
  }
}

class NumberCard extends Card {
  constructor(desk, j) {
    const column = desk.model.columns[j];
    super(desk, j, numberInput({
      label: column.name, value: NaN, empty: true, onchange: (value) => this.#typed(value),
    }));
    this.places = placesOf(column);
    const [min, max] = domainOf(column);
    this.slider = el("input", {
      type: "range", className: "keys", min, max, step: column.step,
      "aria-label": `${column.name}, along its curve`,
    });
    this.slider.addEventListener("input", () => this.put(snapped(column, +this.slider.value)));
    this.node.append(this.slider);
    const x = (px) => clamp(this.x.invert(px), min, max);
    draggable(this.plot, { move: (px) => this.put(snapped(column, x(px))) });
    this.#layers();
  }

  #layers() {
    const path = (kind) => shape("path", { class: kind });
    this.ground = path("bars");
    this.beyond = path("beyond");
    this.line = shape("line", { class: "level" });
    this.thin = this.desk.model.networks.map(() => path("member"));
    this.far = path("curve far");
    this.near = path("curve");
    this.old = shape("circle", { class: "was", r: 4 });
    this.handle = shape("circle", { r: 6.5 });
    this.ends = ["start", "end"].map((side) =>
      shape("text", { class: "tick", y: HEIGHT - 2, "text-anchor": side }));
    this.svg.append(this.beyond, this.ground, this.line, ...this.thin, this.far, this.near,
      this.old, this.handle, ...this.ends);
  }

  // So far from the training rows that `predict` refuses it, too.
  #typed(value) {
    if (isTooFar(this.column, value)) this.control.node.setAttribute("aria-invalid", "true");
    else this.put(value);
  }

  drawGround() {
    const { low, high, histogram } = this.column;
    this.x = linear(...domainOf(this.column), EDGE, this.width - EDGE);
    const [left, right] = [this.x(low), this.x(high)];
    if (histogram) set(this.ground, { d: this.bars(left, (right - left) / histogram.length, 0.9) });
    set(this.beyond, {
      d: `M${EDGE},4H${left}V${FLOOR}H${EDGE}zM${right},4H${this.width - EDGE}V${FLOOR}H${right}z`,
    });
    [low, high].forEach((end, i) => set(this.ends[i], { x: i ? right : left }).textContent = inColumn(this.column, end));
  }

  drawCurve(frame) {
    const { low, high } = this.column, y = this.level(frame), step = this.places[1] - this.places[0];
    const isNear = (i) => this.places[i] > low - step && this.places[i] < high + step;
    set(this.far, { d: this.#path(this.curve, y) });
    set(this.near, { d: this.#path(this.curve, y, isNear) });
    this.thin.forEach((path, k) => set(path, { d: this.#path(this.members[k] ?? [], y) }));
  }

  drawHandle(frame) {
    const x = (v) => clamp(this.x(v), EDGE, this.width - EDGE), y = this.level(frame);
    const level = y(frame.now), isMissing = Number.isNaN(this.now);
    const at = (value) => x(Number.isNaN(value) ? this.column.fill : value);
    set(this.line, { x1: 0, x2: this.width, y1: level, y2: level });
    set(this.handle, { cx: at(this.now), cy: level, class: isMissing ? "handle missing" : "handle" });
    set(this.old, {
      cx: at(this.was), cy: y(frame.was), opacity: Object.is(this.now, this.was) ? 0 : 1,
    });
  }

  #path(curve, y, keeps = () => true) {
    const points = curve.map((value, i) => ({ i, value })).filter(({ i }) => keeps(i));
    const texts = points.map(({ i, value }) => `${this.x(this.places[i]).toFixed(1)},${y(value).toFixed(1)}`);
    return texts.length ? `M${texts.join("L")}` : "";
  }

  drawControl(frame) {
    if (document.activeElement !== this.control.node) this.control.set(this.now);
    this.slider.value = Number.isNaN(this.now) ? this.column.fill : this.now;
    const text = `${valueText(this.column, this.now)}, predicted ${number(frame.now)}`;
    this.slider.setAttribute("aria-valuetext", text);
  }
}

// A column with a few values: a list, and a dot where each of them would take the prediction.
class ChoiceCard extends Card {
  constructor(desk, j) {
    const column = desk.model.columns[j], choices = choicesOf(column);
    super(desk, j, choice({
      label: column.name, hidden: true, value: 0, options: choices.map(({ label }, i) => [i, label]),
      onchange: (place) => this.put(this.places[+place]),
    }));
    this.choices = choices;
    this.places = choices.map(({ value }) => value);
    draggable(this.plot, { move: (px) => this.put(this.places[this.#at(px)]) });
    this.ground = shape("path", { class: "bars" });
    this.line = shape("line", { class: "level" });
    this.thin = desk.model.networks.map(() => shape("path", { class: "member" }));
    this.dots = choices.map(() => shape("circle", { class: "option" }));
    this.handle = shape("circle", { class: "handle", r: 6.5 });
    this.svg.append(this.ground, this.line, ...this.thin, ...this.dots, this.handle);
  }

  #at(px) {
    return clamp(Math.floor((px - EDGE) / this.gap), 0, this.choices.length - 1);
  }

  #middle(i) { return EDGE + (i + 0.5) * this.gap; }

  get place() { return this.places.findIndex((value) => Object.is(value, this.now)); }

  drawGround() {
    this.gap = (this.width - 2 * EDGE) / this.choices.length;
    set(this.ground, { d: this.column.kind === "category" ? this.bars(EDGE, this.gap, 0.6) : "" });
  }

  drawCurve(frame) {
    const y = this.level(frame), r = clamp(this.gap / 3, 1, 4);
    this.dots.forEach((dot, i) => set(dot, { cx: this.#middle(i), cy: y(this.curve[i]), r }));
    this.thin.forEach((path, k) => {
      const curve = this.members[k] ?? [];
      set(path, { d: curve.map((value, i) => `M${this.#middle(i) - r},${y(value)}h${2 * r}`).join("") });
    });
  }

  drawHandle(frame) {
    const level = this.level(frame)(frame.now);
    set(this.line, { x1: 0, x2: this.width, y1: level, y2: level });
    set(this.handle, { cx: this.#middle(this.place), cy: level });
  }

  drawControl() {
    this.control.set(this.place);
  }
}

function choicesOf(column) {
  if (column.kind === "number") {
    return [{ label: "known", value: column.fill }, { label: "missing", value: NaN }];
  }
  const choices = column.labels.map((label, value) => ({ label, value }));
  return [...choices, { label: "(another)", value: -1 }];
}
