// Chapter 0 of By hand: one parameter, the loss over it, and the step before it is taken.

import { segmented, slider } from "./controls.js";
import { el } from "./dom.js";
import { OneParameter } from "./hand_parameter.js";
import { chapter, etaSlider, player, updateTable, verdict } from "./lesson_parts.js";
import { functionFigure, lossFigure } from "./parameter_plots.js";
import { clamp } from "./scales.js";
import { count, nought, number } from "./text.js";

const ETA_RANGE = [0.004, 1.2]; // of the η that crosses the picture where it is steepest

export function parameterChapter(lesson) {
  return new ParameterChapter(lesson).node;
}

class ParameterChapter {
  constructor(lesson) {
    this.lesson = lesson;
    this.one = new OneParameter(lesson.pairs);
    const { one } = this;
    this.player = player(lesson.app, {
      label: "Run",
      step: () => one.advanceMore(),
      draw: () => this.draw(),
    });
    const begin = (w) => this.#do(() => one.begin(clamp(w, ...one.shape.range)));
    this.eta = etaSlider((eta) => {
      one.rate = eta;
      this.draw();
    });
    this.w = slider({ label: "w", min: -1, max: 1, value: 0, text: () => number(one.at), oninput: begin });
    this.function = functionFigure(one);
    this.loss = lossFigure(one, begin);
    this.verdict = verdict();
    this.numbers = el("div", { className: "scroll" });
    this.formula = el("p", { className: "note" });
    this.node = this.#layout();
    lesson.on(() => this.#use(one.kind));
    this.#use("line");
  }

  #layout() {
    const { one } = this;
    const options = [
      ["line", "a line"],
      ["sigmoid", "a sigmoid"],
    ];
    const onchange = (kind) => this.#use(kind);
    this.choice = segmented({ label: "Function", options, value: "line", onchange });
    const button = (text, className, onclick) => el("button", { type: "button", className, onclick }, text);
    const once = button("One step", "main", () => this.#do(() => one.advance()));
    const again = button("Start again", "link", () => this.#use(one.kind));
    return chapter(
      "one-parameter",
      "0. One parameter",
      "Each w is a function, on the left, and has a loss, on the right. Drag the point to choose where to " +
        "begin. The tangent says which way is down; the arrow is the step −η · dL/dw, before it is taken.",
      el("div", { className: "controls" }, this.choice.node),
      this.formula,
      el(
        "div",
        { className: "two-pictures" },
        this.function.node,
        el("div", {}, this.loss.node, this.w.node),
      ),
      el("div", { className: "controls drive" }, this.eta.node, once, this.player.node, again),
      this.verdict.node,
      this.numbers,
    );
  }

  #do(change) {
    this.player.stop();
    change();
    this.draw();
  }

  // Begin anew with a line or a sigmoid, in the rows of the lesson.
  #use(kind) {
    const { one } = this;
    one.use(this.lesson.pairs, kind);
    this.choice.set(one.kind);
    const [min, max] = one.shape.range;
    Object.assign(this.w.input, { min, max, step: one.span / 400 });
    one.rate = this.eta.fit(...ETA_RANGE.map((share) => share * one.across), one.rate);
    this.formula.textContent = this.#formula();
    this.#do(() => {});
  }

  #formula() {
    const { kind, isWithout, shape } = this.one;
    if (kind === "line") {
      const why = isWithout
        ? "A sigmoid has only one valley in these rows; choose another column for it. "
        : "";
      return `${why}ŷ = w · x, both in deviations from their means; L(w) is the mean of (ŷ − y)².`;
    }
    const { base, height, bias, rows } = shape;
    const which = rows === null ? "" : " of two rows, the large dots";
    return (
      `ŷ = ${number(base)} + ${number(height)} · σ(${number(bias)} + w · x), of which only w is moved; ` +
      `L(w) is the mean of (ŷ − y)²${which}. It has two valleys: which one is found depends on where one begins.`
    );
  }

  draw() {
    const { one } = this;
    this.function.redraw();
    this.loss.redraw();
    this.w.set(clamp(one.at, ...one.shape.range));
    const { value, slope } = one.here;
    const tidy = (w) => nought(w, 1e-6 * one.span);
    this.numbers.replaceChildren(
      el("p", { className: "loss-now" }, "L(w) = ", el("b", {}, number(value))),
      updateTable([["w", tidy(one.at), nought(slope, 1e-6 * (value / one.span)), tidy(one.next)]], one.rate),
    );
    this.verdict.say(...sentence(one));
  }
}

function sentence(one) {
  if (one.isLost) {
    return ["Diverged: each step is larger than the one before, and the loss grows. Take a smaller η and start again.", "bad"];
  }
  if (one.isAtRest) return rest(one);
  if (one.isTired) {
    const steps = count(one.steps);
    return [`Paused after ${steps} steps, not yet at rest. Run goes on; or take another η.`, "bad"];
  }
  const { value, slope } = one.here;
  const way = slope < 0 ? "to the right" : "to the left";
  const after = one.lossAt(one.next).value;
  const isWorse = after > value;
  const then = isWorse ? "raises the loss to" : "lowers the loss to";
  const why = isWorse ? ": η is too large here" : "";
  const step = number(one.next - one.at);
  return [
    `It goes down ${way}. The next step is ${step}, and ${then} ${number(after)}${why}.`,
    isWorse ? "bad" : "good",
  ];
}

function rest({ here, valleys }) {
  const [best] = valleys;
  const isBest = best === undefined || here.value < best.value + 0.02 * Math.max(best.value, 1e-9);
  if (isBest) return ["The slope is 0: this is the minimum.", "good"];
  return [
    "The slope is 0, and gradient descent stays: a local minimum. The other valley is deeper, " +
      `${number(best.value)} instead of ${number(here.value)}; begin elsewhere to find it.`,
    "bad",
  ];
}
