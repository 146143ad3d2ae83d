// Two at once: the prediction over two columns as bands of colour, all others as they are. The row
// is a point in it, to be dragged.

import { paintBands } from "./bands.js";
import { choice } from "./controls.js";
import { el, set, shape } from "./dom.js";
import { draggable, sized, sliced } from "./gestures.js";
import { clamp, linear, ticks } from "./scales.js";
import { number, shorts } from "./text.js";
import { domainOf, influences, snapped } from "./whatif_curve.js";
import { Walk } from "./walk.js";

const GRIDS = [14, 27, 53]; // coarse at once, finer when nothing moves
const MOST_DOTS = 400;
const LIVE = 20_000; // the most parameters of all members whose coarse map fits into a frame of a drag
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// Null with fewer than two numbers.
export function mapPart(desk) {
  const numbers = [...desk.model.columns.entries()].filter(([, { kind, value }]) => kind === "number" && value);
  return numbers.length < 2 ? null : new PairMap(desk, numbers.map(([j]) => j));
}

class PairMap {
  constructor(desk, numbers) {
    const moves = influences(desk.model, desk.hand.values);
    Object.assign(this, { desk, size: 0, drawn: null, finest: 0, slices: sliced(7) });
    this.axes = [...numbers].sort((a, b) => moves[b] - moves[a]).slice(0, 2);
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.ground = shape("g");
    this.point = shape("g");
    this.over = shape("svg", { "aria-hidden": "true" }, this.ground, this.point);
    this.isLive = desk.model.theta.length <= LIVE;
    this.box = el("div", {
      className: "map", tabIndex: 0, role: "group",
      "aria-label": "the map; the arrow keys move the row in it", onkeydown: (event) => this.#key(event),
    }, this.canvas, this.over);
    this.legend = el("p", { className: "note" });
    const picks = ["along the map", "up the map"].map((label, k) => choice({
      label, hidden: true, value: this.axes[k], onchange: (j) => this.#pick(k, +j),
      options: numbers.map((j) => [j, desk.model.columns[j].name]),
    }).node);
    this.node = el("section", { className: "panel" }, el("h2", {}, "Two at once"),
      el("div", { className: "axes" }, picks[0], el("span", {}, "×"), picks[1]), this.box, this.legend);
    draggable(this.box, { axis: "xy", move: (px, py) => this.#moveTo(px, py) });
    sized(this.box, (width) => this.#resize(width));
    desk.slow.push({ draw: (frame) => this.size && this.#fill(frame, GRIDS) });
  }

  #pick(k, j) {
    this.axes[k] = j;
    this.#drawGround();
    this.desk.redraw();
  }

  #resize(width) {
    this.size = width;
    this.box.style.height = `${width}px`;
    set(this.over, { width, height: width });
    this.drawn = null;
    this.#drawGround();
    if (this.desk.frame) this.desk.redraw();
  }

  get columns() { return this.axes.map((j) => this.desk.model.columns[j]); }
  get scales() {
    const [a, b] = this.columns.map(domainOf);
    return [linear(...a, 0, this.size), linear(...b, this.size, 0)];
  }

  #moveTo(px, py) {
    const places = [px, py], scales = this.scales;
    this.desk.change(...this.columns.map((column, k) => {
      const value = clamp(scales[k].invert(places[k]), ...domainOf(column));
      return [this.axes[k], snapped(column, value)];
    }));
  }

  #key(event) {
    const way = ARROWS[event.key];
    if (!way) return;
    event.preventDefault();
    const { values } = this.desk.hand;
    this.desk.change(...this.columns.map((column, k) => {
      const [low, high] = domainOf(column), now = values[this.axes[k]];
      const stride = Math.max(column.step, (high - low) / 40);
      const from = Number.isNaN(now) ? column.fill : now;
      return [this.axes[k], way[k] ? clamp(snapped(column, from + way[k] * stride), low, high) : now];
    }));
  }

  draw(frame) {
    if (!this.size) return;
    this.point.replaceChildren(...this.#point(...this.scales));
    if (this.isLive) this.#fill(frame, GRIDS.slice(0, 1));
  }

  // What the colours depend on: not on the two columns themselves.
  #state() {
    const { hand, moment } = this.desk;
    const others = hand.values.map((value, j) => this.axes.includes(j) ? 0 : value);
    return [...this.axes, hand.output, moment?.updates ?? -1, ...others];
  }

  // What the row in hand does not change.
  #drawGround() {
    if (!this.size) return;
    const [a, b] = this.columns, [x, y] = this.scales, rows = this.desk.background.slice(0, MOST_DOTS);
    const seen = rows.map((row) => this.axes.map((j) => row[j])).filter((pair) => !pair.some(Number.isNaN));
    this.ground.replaceChildren(
      shape("rect", {
        class: "trained", x: x(a.low), y: y(b.high), width: x(a.high) - x(a.low), height: y(b.low) - y(b.high),
      }),
      shape("path", { class: "seen", d: seen.map(([u, v]) => `M${x(u).toFixed(1)},${y(v).toFixed(1)}h0`).join("") }),
      ...this.#ticks(x, y),
    );
  }

  #ticks(x, y) {
    const [a, b] = this.columns.map(domainOf);
    const along = ticks(...a, 3), up = ticks(...b, 5);
    const below = shorts(along).map((text, i) => shape("text", {
      class: "on", x: clamp(x(along[i]), 30, this.size - 24), y: this.size - 5, "text-anchor": "middle", text,
    }));
    const isFree = (v) => y(v) > 10 && y(v) < this.size - 20; // of the words along
    const beside = shorts(up).map((text, i) => isFree(up[i]) && shape("text", { class: "on", x: 4, y: y(up[i]) + 3, text }));
    return [...below, ...beside.filter(Boolean)];
  }

  #point(x, y) {
    const [u, v] = this.axes.map((j, k) => {
      const value = this.desk.hand.values[j];
      return Number.isNaN(value) ? this.columns[k].fill : value;
    });
    const cx = clamp(x(u), 0, this.size), cy = clamp(y(v), 0, this.size);
    return [
      shape("path", { class: "cross", d: `M${cx},0V${this.size}M0,${cy}H${this.size}` }),
      shape("circle", { class: "handle", cx, cy, r: 7 }),
    ];
  }

  // Paint the grids that are not painted yet, one after another.
  #fill({ low, high }, grids) {
    const state = this.#state();
    const isSame = this.drawn?.length === state.length && this.drawn.every((value, i) => Object.is(value, state[i]));
    if (!isSame) Object.assign(this, { drawn: state, finest: 0 });
    const left = grids.filter((n) => n > this.finest);
    if (!left.length) return;
    const { hand, model } = this.desk, walk = new Walk(model, hand.values), [a, b] = this.axes, [x, y] = this.scales;
    const { output } = hand;
    let n = left.shift(), i = 0, grid = new Float64Array(n * n);
    this.slices(() => {
      const place = (k) => k / (n - 1) * this.size;
      walk.put(a, x.invert(place(i % n)));
      walk.put(b, y.invert(place(Math.floor(i / n))));
      grid[i] = walk.predict()[output];
      if (++i < n * n) return true;
      this.#paint(grid, n, (value) => (value - low) / (high - low || 1));
      this.finest = n;
      if (!left.length) return false;
      n = left.shift();
      i = 0;
      grid = new Float64Array(n * n);
      return true;
    });
  }

  // The coarse grid, of frames that have little time, with fewer pixels and no words.
  #paint(grid, n, share) {
    const isCoarse = n === GRIDS[0], size = isCoarse ? Math.ceil(this.size / 2) : this.size;
    if (this.canvas.width !== size) Object.assign(this.canvas, { width: size, height: size });
    paintBands(this.canvas, grid, n, share);
    if (!isCoarse) this.#describe(grid);
  }

  #describe(grid) {
    const { model, hand } = this.desk, { isClass, target } = model;
    const name = isClass ? `probability of ${target.labels[hand.output]}` : target.labels[hand.output];
    const [least, most] = [Math.min(...grid), Math.max(...grid)].map((value) => number(value));
    const dots = this.desk.background.length ? "Dots: training rows; dashed: their range." : "Dashed: the training range.";
    this.legend.textContent = `${name}: from ${least} to ${most}, dark is low; the other columns are as in the row. ${dots}`;
  }
}
