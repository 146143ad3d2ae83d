// Chapter 3 of By hand: one row through the network of chapter 2, there and back, in numbers.

import { choice, slider } from "./controls.js";
import { backwardGraph } from "./backward_graph.js";
import { el } from "./dom.js";
import { factorsOf, parameterName, productOf, subscript, thereAndBack } from "./hand_backward.js";
import { chapter, verdict } from "./lesson_parts.js";
import { STAGE, STAGES } from "./lesson_stages.js";
import { number } from "./text.js";

export function backwardChapter(lesson) {
  return new BackwardChapter(lesson).node;
}

class BackwardChapter {
  constructor(lesson) {
    const { training } = lesson;
    Object.assign(this, { lesson, training, stage: STAGES.length - 1, picked: { kind: "w", j: 0 } });
    this.graph = backwardGraph(
      (picked) => this.#pick(picked),
      () => this.state,
    );
    this.sentence = verdict();
    this.factors = el("div", { className: "factors", role: "status" });
    this.table = el("div", {
      className: "scroll",
      tabIndex: 0,
      role: "group",
      "aria-label": "All numbers of this row",
    });
    this.parameter = el("span");
    this.row = slider({
      label: "row",
      min: 1,
      max: 2,
      step: 1,
      value: 1,
      oninput: (row) => {
        training.row = row - 1;
        lesson.drawCurve();
      },
    });
    this.#makeSteps();
    this.node = this.#layout();
    lesson.curveDraws.push(() => this.draw());
    this.draw();
  }

  #makeSteps() {
    const button = (text, className, stage) =>
      el("button", { type: "button", className, onclick: () => this.#goTo(stage()) }, text);
    this.back = button("Back", "", () => this.stage - 1);
    this.forward = button("Next", "main", () => this.stage + 1);
    this.steps = [
      button("From the start", "", () => 0),
      this.back,
      this.forward,
      button("Show all", "link", () => STAGES.length - 1),
    ];
  }

  #layout() {
    return chapter(
      "backward",
      "3. One row, there and back",
      "The same network as a graph, for the row with the large dot above; tap another dot, or move the slider. Its numbers " +
        "go forward from left to right, and the slopes of e back from right to left. Tap a weight: its slope is the product " +
        "of the slopes on the way to it.",
      el("div", { className: "controls drive" }, this.row.node, this.parameter),
      el("div", { className: "controls" }, this.steps),
      this.sentence.node,
      this.graph.node,
      this.factors,
      this.table,
    );
  }

  #goTo(stage) {
    this.stage = stage;
    this.draw();
  }

  #pick(picked) {
    this.picked = picked;
    this.stage = STAGES.length - 1;
    this.draw();
  }

  // Of the row: {network, pass, loss, picked, stage, name: of the activation}.
  get state() {
    const { training, stage } = this;
    const { u, v } = training.pairs;
    const network = training.shown;
    const loss = training.rowLoss;
    const pass = thereAndBack(network, loss, u[training.row], v[training.row]);
    return { network, pass, loss, picked: this.picked, stage, name: network.activation.name };
  }

  draw() {
    const { training } = this;
    const { length } = training.shown.units;
    if (this.picked.kind !== "constant" && this.picked.j >= length) this.picked = { kind: "w", j: 0 };
    this.row.input.max = training.pairs.u.length;
    this.row.set(training.row + 1);
    this.#fitChoice(length);
    this.back.disabled = this.stage === 0;
    this.forward.disabled = this.stage === STAGES.length - 1;
    const { state } = this;
    this.sentence.say(STAGES[this.stage](state));
    this.graph.redraw();
    this.#drawFactors(state);
    this.table.replaceChildren(numbersTable(state));
  }

  // All parameters, from front to back.
  #fitChoice(length) {
    if (this.listed !== length) {
      this.listed = length;
      const units = Array.from({ length }, (_, j) => ["w", "b", "c"].map((kind) => ({ kind, j }))).flat();
      this.keys = [...units, { kind: "constant" }];
      const options = this.keys.map((key, i) => [
        String(i),
        key.kind === "constant" ? "the constant b" : parameterName(key),
      ]);
      this.list = choice({
        label: "the slope of",
        options,
        value: "0",
        onchange: (i) => this.#pick(this.keys[Number(i)]),
      });
      this.parameter.replaceChildren(this.list.node);
    }
    this.list.set(
      String(this.keys.findIndex(({ kind, j }) => kind === this.picked.kind && j === this.picked.j)),
    );
  }

  #drawFactors({ network, loss, pass, picked, stage }) {
    const isKnown = stage >= STAGE.overW;
    const factors = isKnown ? factorsOf(network, loss, pass, picked) : [];
    const box = (name, value, kind) =>
      el("span", { className: `factor ${kind}` }, el("small", {}, name), el("b", {}, number(value)));
    this.factors.replaceChildren(
      ...(isKnown ? [box(`∂e/∂${parameterName(picked)}`, productOf(factors), "whole")] : []),
      ...factors.flatMap(({ name, value }, i) => [el("span", {}, i === 0 ? "=" : "·"), box(name, value, "")]),
    );
  }
}

const COLUMNS = [
  ["w", ({ network }, j) => network.units[j].w, 0],
  ["b", ({ network }, j) => network.units[j].b, 0],
  ["z", ({ pass }, j) => pass.z[j], STAGE.z],
  ["a", ({ pass }, j) => pass.a[j], STAGE.z],
  ["c", ({ network }, j) => network.units[j].c, 0],
  ["∂e/∂c", ({ pass }, j) => pass.over.y * pass.a[j], STAGE.overA],
  ["∂e/∂a", ({ pass }, j) => pass.over.a[j], STAGE.overA],
  ["∂e/∂z", ({ pass }, j) => pass.over.z[j], STAGE.overZ],
  ["∂e/∂b", ({ pass }, j) => pass.over.z[j], STAGE.overW],
  ["∂e/∂w", ({ pass }, j) => pass.over.z[j] * pass.x, STAGE.overW],
];

// A line a unit; what is not reached yet stays empty.
function numbersTable(state) {
  const head = el(
    "tr",
    {},
    ["unit", ...COLUMNS.map(([name]) => name)].map((text) => el("th", { scope: "col" }, text)),
  );
  const line = (_, j) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, `${state.name === "ReLU" ? "ReLU" : "sigmoid"} ${subscript(j)}`),
      COLUMNS.map(([, value, stage]) => el("td", {}, state.stage >= stage ? number(value(state, j)) : "")),
    );
  return el("table", {}, head, state.network.units.map(line));
}
