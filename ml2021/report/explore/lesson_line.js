// Chapter 1 of By hand: a line, its error surface, and gradient descent on it.

import { segmented, slider } from "./controls.js";
import { el } from "./dom.js";
import { LineDescent } from "./hand_descent.js";
import { shareOf } from "./hand_line.js";
import { LOSS_OPTIONS, ROW_LOSSES } from "./hand_losses.js";
import { chapter, etaSlider, player, updateTable, verdict } from "./lesson_parts.js";
import { lossesFigure } from "./line_losses.js";
import { scatterFigure } from "./line_scatter.js";
import { surfaceFigure } from "./line_surface.js";
import { clamp } from "./scales.js";
import { nought, number, percent, short } from "./text.js";

const BATCH = 32;
const LONGEST = 3000; // steps of a run: those of MAE, or of a batch, never come to rest
const DUST = 1e-6; // of the picture: less is shown as 0
const ETA_DECADES = 3.2;
const MOST_ETA = 2.8; // of the η from which on the steps grow

export function lineChapter(lesson) {
  return new LineChapter(lesson).node;
}

class LineChapter {
  constructor(lesson) {
    const settings = { loss: "mse", size: null, standardised: true, outlier: 0 };
    this.descent = new LineDescent(lesson.pairs, settings);
    const { descent } = this;
    this.player = player(lesson.app, { label: "Run", step: () => this.#advance(), draw: () => this.draw() });
    const moved = (theta) => this.#do(() => descent.moveTo(theta));
    this.figures = [scatterFigure(descent, moved), surfaceFigure(descent, moved), lossesFigure(descent)];
    this.verdict = verdict();
    this.numbers = el("div", { className: "scroll" });
    this.hint = el("p", { className: "note" });
    this.outlierNote = el("p", { className: "note" });
    this.#makeSliders(moved);
    this.node = this.#layout();
    lesson.on(() => this.#do(() => descent.use(lesson.pairs), true));
    this.#fitSliders();
    this.draw();
  }

  #makeSliders(moved) {
    const { descent } = this;
    const parameter = (label, k) =>
      slider({
        label,
        min: -1,
        max: 1,
        value: 0,
        text: () => number(nought(descent.theta[k], DUST * descent.bowl.reach[k])),
        oninput: (value) => moved(descent.theta.map((own, i) => (i === k ? value : own))),
      });
    this.parameters = ["b", "w"].map(parameter);
    this.eta = etaSlider((eta) => {
      descent.eta = eta;
      this.draw();
    });
    this.outlier = slider({
      label: "outlier, deviations up",
      min: 0,
      max: 10,
      step: 0.1,
      value: 0,
      text: short,
      oninput: (outlier) => this.#do(() => descent.change({ outlier })),
    });
  }

  #layout() {
    const { descent } = this;
    const setting = (label, options, key, value = descent.settings[key]) =>
      segmented({
        label,
        options,
        value,
        onchange: (next) => this.#do(() => descent.change({ [key]: next }), key === "standardised"),
      }).node;
    const rows = [
      [null, "all rows"],
      [BATCH, `${BATCH} rows`],
      [1, "one row"],
    ];
    const units = [
      [true, "standardised"],
      [false, "as they are"],
    ];
    const once = el(
      "button",
      { type: "button", className: "main", onclick: () => this.#do(() => descent.step()) },
      "One step",
    );
    const again = el(
      "button",
      { type: "button", className: "link", onclick: () => this.#do(() => descent.restart()) },
      "Start again",
    );
    const [scatter, surface, losses] = this.figures.map(({ node }) => node);
    return chapter(
      "line",
      "1. A line and its error surface",
      "Each line is one point of the surface, and each point is a line. Drag either. The arrow, and the dashed line, are " +
        "the step that gradient descent takes next.",
      el(
        "div",
        { className: "controls" },
        setting("Loss", LOSS_OPTIONS, "loss"),
        setting("Rows of a step", rows, "size"),
        setting("Units", units, "standardised"),
      ),
      el(
        "div",
        { className: "two-pictures wide-left" },
        el(
          "div",
          {},
          scatter,
          el(
            "div",
            { className: "sliders" },
            this.parameters.map(({ node }) => node),
          ),
          this.outlier.node,
        ),
        surface,
      ),
      this.outlierNote,
      el("div", { className: "controls drive" }, this.eta.node, once, this.player.node, again),
      this.verdict.node,
      el("div", { className: "two-pictures" }, this.numbers, losses),
      this.hint,
    );
  }

  // Change something by hand; isAnew: where the surface is another one.
  #do(change, isAnew = false) {
    this.player.stop();
    change();
    if (isAnew) this.#fitSliders();
    this.draw();
  }

  #fitSliders() {
    const { best, reach, limit } = this.descent.bowl;
    this.parameters.forEach(({ input }, k) => {
      Object.assign(input, { min: best[k] - reach[k], max: best[k] + reach[k], step: reach[k] / 200 });
    });
    const most = MOST_ETA * limit;
    this.descent.eta = this.eta.fit(most / 10 ** ETA_DECADES, most, this.descent.eta);
  }

  #advance() {
    const { descent } = this;
    descent.step();
    const isDone = descent.hasDiverged || (descent.settings.size === null && descent.isAtRest);
    return !isDone && descent.losses.length <= LONGEST;
  }

  draw() {
    const { descent } = this;
    const { best, reach } = descent.bowl;
    this.figures.forEach(({ redraw }) => redraw());
    this.parameters.forEach(({ set }, k) =>
      set(clamp(descent.theta[k], best[k] - reach[k], best[k] + reach[k])),
    );
    this.#say();
  }

  #say() {
    const { descent } = this;
    const { loss, standardised } = descent.settings;
    const { theta, next } = descent;
    const { reach } = descent.bowl;
    const { value } = descent.lossAt(theta);
    const unit = standardised ? ", in deviations" : "";
    this.numbers.replaceChildren(
      el(
        "p",
        { className: "loss-now" },
        `L(b, w), the mean of ${ROW_LOSSES[loss].formula}${unit}: `,
        el("b", {}, number(value)),
      ),
      updateTable(
        ["b", "w"].map((name, k) => {
          const [now, then] = [theta, next.theta].map((each) => nought(each[k], DUST * reach[k]));
          return [name, now, nought(next.gradient[k], DUST * (value / reach[k])), then];
        }),
        descent.eta,
      ),
    );
    this.verdict.say(...this.#sentence(value, next.loss));
    this.hint.textContent = this.#aboutUnits();
    this.outlierNote.textContent = this.#aboutOutlier();
  }

  #sentence(now, after) {
    const { descent } = this;
    const isBatch = descent.settings.size !== null;
    if (descent.hasDiverged) {
      return [
        "Diverged: each step overshoots by more than the one before. Take a smaller η and start again.",
        "bad",
      ];
    }
    if (descent.isAtRest) return ["The slope is flat: this is the bottom.", "good"];
    if (after <= now) return [`The next step lowers the loss to ${number(after)}.`, "good"];
    const why = isBatch
      ? "this batch pulls elsewhere than all rows do, or η is too large here"
      : "η is too large here";
    return [`The next step raises the loss to ${number(after)}: ${why}.`, "bad"];
  }

  #aboutUnits() {
    const { bowl, settings, batches } = this.descent;
    const epoch =
      settings.size === null
        ? ""
        : ` A step uses ${settings.size === 1 ? "one row, the dark dot" : `${BATCH} rows, the dark dots`}; this is epoch ${batches.epoch}.`;
    const limit = short(Number(bowl.limit.toPrecision(2)));
    return settings.standardised
      ? `Standardised, the bowl of MSE is round, and steps grow from η = ${limit} on. ml2021 standardises every column for this.${epoch}`
      : `As they are, b and w have units of their own and the bowl is a gorge: with MSE steps grow from η = ${limit} on, and ` +
          `along the gorge that is next to nothing.${epoch}`;
  }

  #aboutOutlier() {
    const { data, settings, theta, outlierRow } = this.descent;
    if (settings.outlier === 0)
      return "An outlier: move one row up, and compare what the three losses make of it.";
    const shares = LOSS_OPTIONS.map(
      ([loss, name]) => `${percent(shareOf(data, loss, theta, outlierRow))} of ${name}`,
    );
    return (
      `The orange row alone is ${shares.slice(0, -1).join(", ")} and ${shares.at(-1)} of this line. Thin lines show where ` +
      "each loss is lowest: MSE, solid, follows the outlier; MAE, dashed, and Huber, dotted, hardly do."
    );
  }
}
