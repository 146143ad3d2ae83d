// The tab By hand: the lecture in its order, on the run's own columns.

import { choice } from "./controls.js";
import { el } from "./dom.js";
import { registerTab } from "./frame.js";
import { firstChoice, lessonColumns, pairsOf } from "./hand_columns.js";
import { ownCurve } from "./hand_own.js";
import { CurveTraining, MOST_UNITS } from "./hand_training.js";
import { backwardChapter } from "./lesson_backward.js";
import { curveChapter } from "./lesson_curve.js";
import { lineChapter } from "./lesson_line.js";
import { parameterChapter } from "./lesson_parameter.js";
import { knownValues } from "./whatif_row.js";

registerTab({ id: "hand", place: 3, title: "By hand", make: byHand });

const CHAPTERS = [parameterChapter, lineChapter, curveChapter, backwardChapter];

function byHand(app) {
  const { background } = app.payload;
  if (background === null || background.values.length < 2) {
    return el("p", {}, "This takes training rows, and the page holds none.");
  }
  const columns = lessonColumns(app.payload);
  const [from, to] = columns.length > 1 ? firstChoice(columns) : [0, 0];
  const pairs = from === to ? null : pairsOf(columns[from], columns[to]);
  if (pairs === null) return el("p", {}, "This takes two columns of numbers, and the table has fewer.");
  const lesson = new Lesson(app, columns, [from, to], pairs);
  const chapters = CHAPTERS.map((make) => make(lesson));
  return el(
    "div",
    { className: "hand" },
    el("p", {}, INTRODUCTION),
    lesson.node,
    contents(chapters),
    chapters,
  );
}

const INTRODUCTION =
  "A model is a function with parameters; its loss says how far it is from the rows; training moves the parameters so " +
  "that the loss falls. Here you do it yourself, with two columns of the training rows.";

function contents(chapters) {
  if (chapters.length < 2) return null;
  const jump = (section) => {
    section.scrollIntoView();
    section.querySelector("h2").focus({ preventScroll: true });
  };
  return el(
    "nav",
    { className: "controls", "aria-label": "Chapters" },
    chapters.map((section) =>
      el(
        "button",
        { type: "button", className: "link", onclick: () => jump(section) },
        section.querySelector("h2").textContent,
      ),
    ),
  );
}

// The two columns that all chapters draw; on(listener) hears of others. training: the curve of the
// last two chapters, which drawCurve() draws again in both.
class Lesson {
  constructor(app, columns, places, pairs) {
    Object.assign(this, { app, columns, places, pairs, listeners: [], curveDraws: [] });
    this.training = new CurveTraining(pairs, this.ownCurve(), app.payload.piecewise);
    this.note = el("span", { className: "note", role: "status" });
    const options = columns.map(({ name }, i) => [String(i), name]);
    this.selects = ["from x", "to y"].map((label, k) =>
      choice({
        label,
        options,
        value: String(places[k]),
        onchange: (place) => this.#choose(k, Number(place)),
      }),
    );
    this.node = el(
      "div",
      { className: "controls" },
      this.selects.map(({ node }) => node),
      this.note,
    );
    this.#count();
  }

  // The run's own function between the two columns, as a constant and sigmoids; null if it is none.
  ownCurve() {
    const { app, columns, places, pairs } = this, [from, to] = places.map((place) => columns[place]);
    if (from.isTarget || !to.isTarget) return null;
    const rows = app.payload.background.values.map(knownValues);
    return ownCurve(app.model, rows, pairs, { place: from.place, output: to.place }, MOST_UNITS);
  }

  on(listener) {
    this.listeners.push(listener);
  }

  drawCurve() {
    this.curveDraws.forEach((draw) => draw());
  }

  #choose(k, place) {
    const next = this.places.map((own, i) => (i === k ? place : own));
    const pairs = next[0] === next[1] ? null : pairsOf(...next.map((each) => this.columns[each]));
    if (pairs === null) {
      this.selects[k].set(String(this.places[k]));
      this.note.textContent = "Choose two columns that differ.";
      return;
    }
    Object.assign(this, { places: next, pairs });
    this.#count();
    this.listeners.forEach((listener) => listener());
  }

  #count() {
    this.note.textContent = `${this.pairs.u.length} training rows`;
  }
}
