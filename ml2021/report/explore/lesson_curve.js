// Chapter 2 of By hand: a curve as a constant and a few sigmoids, moved by hand or trained.

import { checkbox, segmented, slider } from "./controls.js";
import { curveFigure, UNIT_COLOURS } from "./curve_plot.js";
import { el } from "./dom.js";
import { prefersStill } from "./gestures.js";
import { subscript } from "./hand_backward.js";
import { LOSS_OPTIONS } from "./hand_losses.js";
import { ETA, MOST_UNITS } from "./hand_training.js";
import { chapter, player, verdict } from "./lesson_parts.js";
import { clamp } from "./scales.js";
import { count, number, plural } from "./text.js";

const LIMITS = { constant: 3, w: 12, b: 15, c: 4 };
const FLATTEST = 0.05; // |w| of a slider, for a sigmoid without slope has no middle
const EPOCHS_A_FRAME = 3;
const LONGEST = 3000;
const PAUSE = 16;

export function curveChapter(lesson) {
  return new CurveChapter(lesson).node;
}

// What the run's own function is, and which part of it is moved.
function originOf({ app, pairs }, { units, rest }) {
  const alone = app.model.columns.length === 1 ? "" : ", the other columns at their means";
  const all = units.length + (rest?.units.length ?? 0);
  const moved = rest === null ? "" : ` Of its ${count(all)} sigmoids the ${units.length} that bend it most are moved; the others stay, as the dotted line.`;
  return `This run’s own function along ${pairs.x.name}${alone}.${moved}`;
}

class CurveChapter {
  constructor(lesson) {
    const { training } = lesson;
    Object.assign(this, { lesson, training });
    this.player = player(lesson.app, {
      label: "Train",
      step: () => this.#epochs(),
      draw: () => lesson.drawCurve(),
      pause: PAUSE,
    });
    this.figure = curveFigure(training, {
      dragged: (j, unit) => this.#do(() => training.set(j, unit)),
      chosen: (row) => this.#do(() => (training.row = row)),
    });
    this.verdict = verdict();
    this.knobs = el("div", { className: "knobs" });
    this.#makeControls();
    this.node = this.#layout();
    lesson.on(() => this.#do(() => training.use(lesson.pairs, lesson.ownCurve())));
    lesson.curveDraws.push(() => this.draw());
    this.draw();
  }

  #makeControls() {
    const { training } = this;
    const button = (text, className, change) =>
      el("button", { type: "button", className, onclick: () => this.#do(change) }, text);
    this.add = button("Add a sigmoid", "", () => training.add());
    this.remove = button("Remove one", "link", () => training.removeLast());
    this.buttons = [
      button("One epoch", "main", () => training.train()),
      this.player.node,
      this.add,
      this.remove,
      button("Start again", "link", () => training.restart()),
    ];
    this.begin = segmented({
      label: "Begin with",
      options: [
        [false, "two sigmoids"],
        [true, "this run’s own function"],
      ],
      value: training.isOwn,
      onchange: (isOwn) => this.#do(() => training.begin(isOwn)),
    });
    this.origin = el("p", { className: "note" });
    this.loss = segmented({
      label: "Loss of the curve",
      options: LOSS_OPTIONS,
      value: training.loss,
      onchange: (loss) => this.#do(() => training.change({ loss })),
    });
    this.hard = slider({
      label: "smooth to hard",
      min: 0,
      max: 1,
      step: 0.02,
      value: 0,
      text: (hard) => (hard === 0 ? "smooth" : hard === 1 ? "hard" : `${Math.round(100 * hard)} %`),
      oninput: (hard) => this.#do(() => training.change({ hard, asPairs: hard === 1 && training.asPairs })),
    });
    this.asPairs = checkbox({
      label: "each as two ReLUs",
      value: false,
      onchange: (asPairs) => this.#do(() => training.change({ asPairs })),
    });
  }

  #layout() {
    return chapter(
      "curve",
      "2. A curve is a constant and a few sigmoids",
      "ŷ = b + Σ c · σ(b + w · x). Drag a handle: sideways it moves its sigmoid, up and down it makes it larger. Make it " +
        "hard, and see each as two ReLUs. Then let training move them all: gradient descent over all rows, each step by " +
        `Adam’s rule with η = ${ETA}, so that at first each parameter moves by about ${ETA}, however steep its slope is.`,
      el("div", { className: "controls" }, this.begin.node),
      this.origin,
      el("div", { className: "controls" }, this.loss.node, this.hard.node, this.asPairs.node),
      this.figure.node,
      el("div", { className: "controls" }, this.buttons),
      this.verdict.node,
      this.knobs,
    );
  }

  #do(change) {
    this.player.stop();
    change();
    this.lesson.drawCurve();
  }

  #epochs() {
    const count = prefersStill() ? 1 : EPOCHS_A_FRAME;
    for (let i = 0; i < count; i++) this.training.train();
    return this.training.epoch < LONGEST;
  }

  draw() {
    const { training } = this;
    const { units } = training.network;
    const isOther = this.knobs.children.length !== units.length + 1;
    if (isOther || this.sliders.some(({ read, most }) => Math.abs(read()) > most)) this.#buildKnobs();
    this.figure.redraw();
    this.begin.node.hidden = training.own === null;
    this.begin.set(training.isOwn);
    this.origin.textContent = training.isOwn ? originOf(this.lesson, training.own) : "";
    this.hard.set(training.hard);
    this.asPairs.input.checked = training.asPairs;
    this.add.disabled = units.length >= MOST_UNITS;
    this.remove.disabled = units.length <= 1;
    this.sliders.forEach(({ set, read, most }) => set(clamp(read(), -most, most)));
    const after = training.epoch ? `, after ${plural(training.epoch, "epoch")} of training` : "";
    this.verdict.say(`Loss ${number(training.lossNow)}, in deviations${after}.`, "good");
  }

  // A slider for the constant and three for each sigmoid.
  #buildKnobs() {
    const { training } = this;
    const constant = this.#knob(
      "constant b",
      LIMITS.constant,
      () => training.network.constant,
      (value) => {
        training.put({ ...training.network, constant: value });
      },
    );
    const groups = training.network.units.map((_, j) => this.#unitKnobs(j));
    this.sliders = [constant, ...groups.flat()];
    const group = (knobs, colour) => {
      const node = el(
        "div",
        { className: "knob" },
        knobs.map(({ node: own }) => own),
      );
      node.style.borderColor = colour;
      return node;
    };
    this.knobs.replaceChildren(
      group([constant], "#8a8e95"),
      ...groups.map((knobs, j) => group(knobs, UNIT_COLOURS[j])),
    );
  }

  #unitKnobs(j) {
    const { training } = this;
    const at = subscript(j);
    const unit = () => training.network.units[j];
    const put = (values) => training.set(j, values);
    return [
      // a steeper one stays where it is: b goes along
      this.#knob(
        `w${at}, how steep`,
        LIMITS.w,
        () => unit().w,
        (value) => {
          const w = Math.abs(value) < FLATTEST ? FLATTEST : value;
          put({ w, b: (unit().b / unit().w) * w });
        },
      ),
      this.#knob(
        `b${at}, where`,
        LIMITS.b,
        () => unit().b,
        (b) => put({ b }),
      ),
      this.#knob(
        `c${at}, how high`,
        LIMITS.c,
        () => unit().c,
        (c) => put({ c }),
      ),
    ];
  }

  // A value beyond the slider's end moves the end.
  #knob(label, least, read, write) {
    const most = Math.max(least, 1.5 * Math.abs(read()));
    const text = () => number(read());
    const oninput = (value) => this.#do(() => write(value));
    const { node, set } = slider({
      label,
      min: -most,
      max: most,
      step: most / 400,
      value: read(),
      text,
      oninput,
    });
    return { node, set, read, most };
  }
}
