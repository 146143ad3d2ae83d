// Chapter 0 of By hand: one parameter, the loss over it, and the step before it is taken.

import { segmented, slider } from "./controls.js";
import { el, shape } from "./dom.js";
import { draggable } from "./gestures.js";
import { lossAt, lossCurve, throughOrigin, twoValleys, valleysOf } from "./hand_valley.js";
import { MARGINS, arrow, axes, chapter, clipped, dots, etaSlider, figure, grip } from "./lesson_parts.js";
import { player, scalesOf, through, updateTable, verdict, words } from "./lesson_parts.js";
import { clamp, linear, ticks } from "./scales.js";
import { number, short } from "./text.js";

const HEIGHTS = [300, 220];
const ETA_RANGE = [0.004, 1.2]; // of the η that crosses the picture where it is steepest
const FIRST_ETA = 0.05;
const ON_THE_SIDE = 0.25; // of the way from the ridge to the local minimum
const PLACES = 81;
const LONGEST = 300; // steps of a run: one that jumps to and fro ends nowhere

export function parameterChapter(lesson) {
  return new ParameterChapter(lesson).node;
}

class ParameterChapter {
  constructor(lesson) {
    this.lesson = lesson;
    this.kind = "line";
    this.player = player(lesson.app, { label: "Run", step: () => this.#advance(), draw: () => this.draw() });
    this.eta = etaSlider((eta) => this.#put({ rate: eta }));
    this.at = 0;
    this.w = slider({ label: "w", min: -1, max: 1, value: 0, text: () => number(this.at), oninput: (w) => this.#begin(w) });
    this.verdict = verdict();
    this.numbers = el("div", { className: "scroll" });
    this.formula = el("p", { className: "note" });
    this.function = figure("The rows, and the function of one parameter", HEIGHTS, (svg, size) => this.#drawFunction(svg, size));
    this.#makeLoss();
    this.node = this.#layout();
    lesson.on(() => this.#use(this.kind));
    this.#use("line");
  }

  #layout() {
    const options = [["line", "a line"], ["sigmoid", "a sigmoid"]];
    this.choice = segmented({ label: "Function", options, value: this.kind, onchange: (kind) => this.#use(kind) });
    const once = el("button", { type: "button", className: "main", onclick: () => this.#once() }, "One step");
    const again = el("button", { type: "button", className: "link", onclick: () => this.#use(this.kind) }, "Start again");
    return chapter(
      "one-parameter",
      "0. One parameter",
      "Each w is a function, on the left, and has a loss, on the right. Drag the point to choose where to begin. " +
        "The tangent says which way is down; the arrow is the step −η · dL/dw, before it is taken.",
      el("div", { className: "controls" }, this.choice.node),
      this.formula,
      el("div", { className: "two-pictures" }, this.function.node, el("div", {}, this.loss.node, this.w.node)),
      el("div", { className: "controls drive" }, this.eta.node, once, this.player.node, again),
      this.verdict.node,
      this.numbers,
    );
  }

  #makeLoss() {
    this.loss = figure("The loss over w, its tangent, and the next step", HEIGHTS, (svg, size) => this.#drawLoss(svg, size));
    this.ground = shape("g");
    this.grip = grip();
    this.loss.svg.append(this.ground, this.grip.node);
    draggable(this.loss.node, {
      move: (px) => {
        if (this.scales) this.#begin(this.scales.x.invert(px));
      },
    });
  }

  // Begin anew with a line or a sigmoid, in the rows of the lesson.
  #use(kind) {
    const { pairs } = this.lesson;
    this.player.stop();
    const sigmoid = kind === "sigmoid" ? twoValleys(pairs) : null;
    this.kind = sigmoid === null ? "line" : "sigmoid";
    this.isWithout = kind === "sigmoid" && sigmoid === null;
    this.choice.set(this.kind);
    this.shape = sigmoid ?? throughOrigin(pairs);
    this.curve = lossCurve(pairs, this.shape);
    this.valleys = valleysOf(pairs, this.shape);
    const [low, high] = this.shape.range;
    const steepest = Math.max(...this.curve.map(([w]) => Math.abs(lossAt(pairs, this.shape, w).slope)));
    const across = (high - low) / steepest;
    Object.assign(this.w.input, { min: low, max: high, step: (high - low) / 400 });
    this.rate = this.eta.fit(ETA_RANGE[0] * across, ETA_RANGE[1] * across, FIRST_ETA * across);
    this.formula.textContent = this.#formula();
    this.#begin(this.shape.start ?? this.#nearTheWorse());
  }

  // On the ridge between the valleys, a little to the side of the one that is not the deepest.
  #nearTheWorse() {
    const [best, worse] = this.valleys;
    const between = ([w]) => w > Math.min(best.w, worse.w) && w < Math.max(best.w, worse.w);
    const [ridge] = this.curve.filter(between).reduce((top, point) => (point[1] > top[1] ? point : top));
    return ridge + ON_THE_SIDE * (worse.w - ridge);
  }

  #formula() {
    const { base, height, bias, rows } = this.shape;
    if (this.kind === "line") {
      const why = this.isWithout ? "A sigmoid has only one valley in these rows; choose another column for it. " : "";
      return `${why}ŷ = w · x, both in deviations from their means; L(w) is the mean of (ŷ − y)².`;
    }
    const which = rows === null ? "" : " of two rows, the large dots";
    return (
      `ŷ = ${number(base)} + ${number(height)} · σ(${number(bias)} + w · x), of which only w is moved; L(w) is the mean ` +
      `of (ŷ − y)²${which}. It has two valleys: which one is found depends on where one begins.`
    );
  }

  #begin(w) {
    this.player.stop();
    this.#put({ at: clamp(w, ...this.shape.range), trail: [] });
  }

  #put(values) {
    Object.assign(this, values);
    this.draw();
  }

  get here() {
    return lossAt(this.lesson.pairs, this.shape, this.at);
  }

  get next() {
    return this.at - this.rate * this.here.slope;
  }

  #once() {
    this.player.stop();
    this.#advance();
    this.draw();
  }

  #advance() {
    const { next } = this;
    const [low, high] = this.shape.range;
    this.trail = [...this.trail, this.at].slice(-LONGEST);
    this.at = next;
    const isMoving = Math.abs(this.next - next) > 1e-5 * (high - low);
    return isMoving && !this.isLost && this.trail.length < LONGEST;
  }

  get isLost() {
    const [low, high] = this.shape.range;
    return !(Math.abs(this.at - (low + high) / 2) < 3 * (high - low));
  }

  draw() {
    this.function.redraw();
    this.loss.redraw();
    this.w.set(clamp(this.at, ...this.shape.range));
    this.#say();
  }

  #drawFunction(svg, size) {
    const { pairs } = this.lesson;
    const scales = scalesOf(pairs, size);
    const ends = [scales.x.invert(MARGINS.left), scales.x.invert(size.width - MARGINS.right)];
    const line = (w, kind) => {
      const points = Array.from({ length: PLACES }, (_, i) => {
        const u = ends[0] + ((ends[1] - ends[0]) * i) / (PLACES - 1);
        return [scales.x(u), scales.y(this.shape.at(u, w))];
      });
      return shape("path", { class: kind, d: through(points) });
    };
    const chosen = this.shape.rows === null ? [] : dots(pairs.u, pairs.v, scales, this.shape.rows, "rows chosen");
    svg.replaceChildren(
      ...axes(pairs, scales, size),
      ...clipped("hand-function", size, dots(pairs.u, pairs.v, scales), chosen, line(this.next, "next-line"), line(this.at, "own-line")),
    );
  }

  #drawLoss(svg, size) {
    const losses = this.curve.map(([, loss]) => loss);
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const { left, right, top, bottom } = MARGINS;
    const x = linear(...this.shape.range, left, size.width - right);
    const y = linear(low - 0.16 * (high - low), high + 0.04 * (high - low), size.height - bottom, top);
    this.scales = { x, y };
    const curve = shape("path", { class: "own-line", d: through(this.curve.map(([w, loss]) => [x(w), y(loss)])) });
    this.ground.replaceChildren(
      ...lossAxes(this.shape.range, [low, high], { x, y }, size),
      ...clipped("hand-loss", size, curve, this.#tangent(x, y), this.#steps(x, y)),
      ...this.#valleyNames(x, y, size),
    );
    const { value } = this.here;
    this.grip.put(clamp(x(this.at), left, size.width - right), clamp(y(value), top, size.height - bottom));
  }

  // The tangent reaches as far as a fifth of the picture.
  #tangent(x, y) {
    const { value, slope } = this.here;
    const reach = 0.1 * (this.shape.range[1] - this.shape.range[0]);
    const ends = [-reach, reach].map((step) => [x(this.at + step), y(value + slope * step)]);
    return shape("path", { class: "tangent", d: through(ends) });
  }

  #steps(x, y) {
    const { pairs } = this.lesson;
    const level = y(this.here.value);
    const onCurve = (w) => [x(w), y(lossAt(pairs, this.shape, w).value)];
    const marks = this.trail.map((w) => `M${onCurve(w).map((value) => clamp(value, -999, 9999).toFixed(1)).join(",")}h0`);
    const [nextX, nextY] = onCurve(this.next);
    return [
      shape("path", { class: "trail", d: marks.join("") }),
      shape("path", { class: "step", d: arrow([x(this.at), level], [clamp(nextX, -999, 9999), level]) }),
      shape("circle", { class: "next-point", cx: clamp(nextX, -99, 9999), cy: clamp(nextY, -99, 9999), r: 5 }),
    ];
  }

  #valleyNames(x, y, size) {
    const names = this.valleys.length > 1 ? ["the minimum", "a local minimum"] : ["the minimum"];
    return this.valleys.slice(0, 2).map(({ w, value }, i) => {
      const place = clamp(x(w), MARGINS.left + 44, size.width - MARGINS.right - 50);
      return words(names[i], place, y(value) + 18, "middle", "of-valley");
    });
  }

  #say() {
    const { value, slope } = this.here;
    this.numbers.replaceChildren(
      el("p", { className: "loss-now" }, "L(w) = ", el("b", {}, number(value))),
      updateTable([["w", this.at, slope, this.next]], this.rate),
    );
    this.verdict.say(...this.#sentence(value, slope));
  }

  #sentence(value, slope) {
    const [low, high] = this.shape.range;
    const step = this.next - this.at;
    if (this.isLost) return ["Diverged: each step is larger than the one before. Take a smaller η and start again.", "bad"];
    if (Math.abs(step) < 1e-4 * (high - low) && Math.abs(slope) * (high - low) < 0.02 * Math.max(value, 1e-9)) return this.#rest(value);
    const way = slope < 0 ? "to the right" : "to the left";
    const after = lossAt(this.lesson.pairs, this.shape, this.next).value;
    const then = after > value ? `raises the loss to ${number(after)}: η is too large here` : `lowers the loss to ${number(after)}`;
    return [`It goes down ${way}. The next step is ${number(step)}, and ${then}.`, after > value ? "bad" : "good"];
  }

  #rest(value) {
    const [best] = this.valleys;
    const isBest = best === undefined || value < best.value + 0.02 * Math.max(best.value, 1e-9);
    if (isBest) return ["The slope is 0: this is the minimum.", "good"];
    return [
      `The slope is 0, and gradient descent stays: a local minimum. The other valley is deeper, ${number(best.value)} ` +
        `instead of ${number(value)}; begin elsewhere to find it.`,
      "bad",
    ];
  }
}

function lossAxes([from, to], [low, high], { x, y }, { width, height }) {
  const { left, right, top, bottom } = MARGINS;
  const floor = height - bottom;
  return [
    shape("path", { class: "axis", d: `M${left},${top}V${floor}H${width - right}` }),
    ...ticks(from, to, 5).map((t) => words(short(t), x(t), floor + 14, "middle")),
    ...ticks(low, high, 4).map((t) => words(short(t), left - 5, y(t) + 4, "end")),
    words("w →", width - right, height - 4, "end", "of-axis"),
    words("↑ loss L(w)", left + 5, top - 4, "start", "of-axis"),
  ];
}
