// A series is one line: its last values, to be dragged, and what is predicted to come next.

import { slider } from "./controls.js";
import { el, set, shape } from "./dom.js";
import { draggable, sized } from "./gestures.js";
import { besideAxis, clamp, linear, ticks } from "./scales.js";
import { count, short, shorts } from "./text.js";
import { domainOf, snapped } from "./whatif_curve.js";

const WEEK = 7;
const FLOOR = 26; // above the lower edge
const TOP = 8;
const SHARES = 22; // the height of what each step did
const LEFT = 46;
const RIGHT = 10;

// {node, draw, shares}, null where no previous values are inputs.
export function seriesPart(desk) {
  return desk.payload.series ? new SeriesLine(desk) : null;
}

class SeriesLine {
  constructor(desk) {
    const { columns } = desk.model, places = [...columns.keys()].filter((j) => columns[j].lag);
    // From the oldest value to the latest.
    this.steps = places.sort((a, b) => columns[b].lag - columns[a].lag).map((j) => ({ j, lag: columns[j].lag }));
    Object.assign(this, { desk, width: 0, height: 260, chosen: this.steps.length - 1, found: new Map() });
    this.column = columns[this.steps[0].j];
    this.svg = shape("svg", { "aria-hidden": "true" });
    this.box = el("div", { className: "line" }, this.svg);
    draggable(this.box, { axis: "xy", begin: (px) => this.#choose(px), move: (_, py) => this.#drag(py) });
    sized(this.box, (width) => this.#resize(width));
    this.node = el("section", { className: "panel series" }, this.#lead(), this.box, this.#controls());
  }

  #lead() {
    const { series, target } = this.desk.payload, steps = count(target.labels.length);
    const next = target.labels.length > 1 ? `the ${steps} values to come` : "the value to come";
    return el("p", { className: "lead" },
      `The last ${count(series.lags)} values of ${series.name}, and ${next}. Drag a point up or down.`);
  }

  // The same by keys: which step, and its value.
  #controls() {
    const { low, high, step } = this.column, [min, max] = domainOf({ low, high });
    this.which = slider({
      label: "step", min: 0, max: this.steps.length - 1, step: 1, value: this.chosen,
      text: (i) => `${this.steps[i].lag} back`, oninput: (i) => this.#pick(i),
    });
    this.value = slider({
      label: "its value", min, max, step, value: low, text: short,
      oninput: (value) => this.#put(snapped(this.column, value)),
    });
    return el("div", { className: "controls" }, this.which.node, this.value.node);
  }

  #pick(i) {
    this.chosen = i;
    this.desk.redraw();
  }

  #put(value) { this.desk.change([this.steps[this.chosen].j, value]); }

  #choose(px) {
    const away = this.steps.map(({ lag }) => Math.abs(this.x(-lag) - px));
    this.chosen = away.indexOf(Math.min(...away));
  }

  #drag(py) {
    this.#put(snapped(this.column, clamp(this.y.invert(py), ...domainOf(this.column))));
  }

  #resize(width) {
    Object.assign(this, { width, height: width < 480 ? 220 : 280 });
    set(this.svg, { width, height: this.height });
    if (this.desk.frame) this.draw(this.desk.frame);
  }

  shares = (found) => {
    this.found = found;
    if (this.desk.frame) this.draw(this.desk.frame);
  };

  draw(frame) {
    this.which.set(this.chosen);
    const { values } = this.desk.hand, now = values[this.steps[this.chosen].j];
    this.value.set(now);
    if (!this.width) return;
    const ahead = frame.values.length, [low, high] = this.#range(frame);
    this.x = linear(-this.steps[0].lag - 0.5, ahead - 0.5, LEFT, this.width - RIGHT);
    this.y = linear(low, high, this.height - FLOOR - SHARES, TOP);
    this.svg.replaceChildren(...this.#weeks(), ...this.#axis(low, high), ...this.#shares(),
      ...this.#history(), ...this.#ahead(frame));
  }

  #range({ values }) {
    const [low, high] = domainOf(this.column), seen = [...values];
    return [Math.min(low, ...seen), Math.max(high, ...seen)];
  }

  #weeks() {
    const lines = [];
    for (let back = WEEK; back <= this.steps[0].lag && this.steps[0].lag >= 2 * WEEK; back += WEEK) {
      const at = this.x(-back);
      lines.push(shape("line", { class: "week", x1: at, x2: at, y1: TOP, y2: this.height - FLOOR }));
    }
    return lines;
  }

  #axis(low, high) {
    const floor = this.height - FLOOR, oldest = this.steps[0].lag;
    const values = ticks(low, high, 4), texts = shorts(values), [beside, anchor] = besideAxis(texts, LEFT);
    const up = texts.map((mark, i) =>
      shape("text", { x: beside, y: this.y(values[i]) + 4, "text-anchor": anchor, text: mark }));
    const text = (x, words, anchor) => shape("text", { x, y: this.height - 6, "text-anchor": anchor, text: words });
    return [...up, shape("line", { class: "axis", x1: LEFT, x2: this.width - RIGHT, y1: floor, y2: floor }),
      text(LEFT, `${count(oldest)} steps back`, "start"), text(this.width - RIGHT, "to come", "end")];
  }

  // What each step did, up or down from a line under the series.
  #shares() {
    const middle = this.height - FLOOR - SHARES / 2, gap = this.x(1) - this.x(0);
    const shares = this.steps.map(({ j }) => this.found.get(j) ?? 0);
    const greatest = Math.max(1e-12, ...shares.map(Math.abs));
    return this.steps.map(({ lag }, i) => {
      const height = Math.abs(shares[i]) / greatest * SHARES / 2, isUp = shares[i] > 0;
      return shape("rect", {
        class: isUp ? "did up" : "did down", x: this.x(-lag) - gap * 0.35, width: Math.max(1, gap * 0.7),
        y: isUp ? middle - height : middle, height,
      });
    });
  }

  #history() {
    const { values, origin, moved } = this.desk.hand, near = this.steps.length > 40 ? 2 : 3.5;
    const path = (row) => `M${this.steps.map(({ j, lag }) => `${this.x(-lag)},${this.y(row[j])}`).join("L")}`;
    const points = this.steps.map(({ j, lag }, i) => shape("circle", {
      ...(i === this.chosen ? { class: "handle", r: 6 } : { class: "point", r: near }),
      cx: this.x(-lag), cy: this.y(values[j]),
    }));
    const was = moved.length ? [shape("path", { class: "wasline", d: path(origin) })] : [];
    return [...was, shape("path", { class: "curve", d: path(values) }), ...points];
  }

  // The first prediction is the next step's; with a horizon there are more.
  #ahead({ values }) {
    const last = this.steps.at(-1), y = (v) => clamp(this.y(v), -40, this.height + 40);
    const from = `${this.x(-last.lag)},${y(this.desk.hand.values[last.j])}`;
    const line = [from, ...Array.from(values, (v, t) => `${this.x(t)},${y(v)}`)];
    const steps = [...values].flatMap((value, t) => this.#step(value, t, y));
    return [shape("path", { class: "curve far", d: `M${line.join("L")}` }), ...steps];
  }

  // One step to come: its interval, the truth, and the prediction.
  #step(value, t, y) {
    const { hand } = this.desk, half = this.desk.halfWidth(t), truth = hand.truth?.[t] ?? NaN;
    const x = this.x(t), look = t === hand.output ? { class: "nowdot", r: 5.5 } : { class: "option", r: 4 };
    const spread = { class: "spread", x1: x, x2: x, y1: y(value - half), y2: y(value + half) };
    const diamond = { class: "diamond", d: `M${x},${y(truth) - 6}l5,6l-5,6l-5,-6z` };
    return [
      half === null ? null : shape("line", spread),
      Number.isNaN(truth) ? null : shape("path", diamond),
      shape("circle", { ...look, cx: x, cy: y(value) }),
    ].filter(Boolean);
  }
}
