// The picture of chapter 2: the rows, the curve, and the sigmoids that it is made of.

import { set, shape } from "./dom.js";
import { draggable } from "./gestures.js";
import { curveAt, restAt } from "./hand_curve.js";
import { MARGINS, axes, clipped, dots, figure, grip, scalesOf, through } from "./lesson_parts.js";
import { clamp } from "./scales.js";

export const UNIT_COLOURS = ["#b35806", "#00755a", "#9c3d8f", "#3f6fb5", "#8a6d00", "#5b5b5b"];

const HEIGHTS = [340, 240];
const PLACES = 161;
const NEAR = 26; // pixels within which a handle is caught

// dragged(j, {b, c}): a handle was moved; chosen(row): a row was tapped.
export function curveFigure(training, { dragged, chosen }) {
  return new CurvePlot(training, dragged, chosen).figure;
}

class CurvePlot {
  constructor(training, dragged, chosen) {
    Object.assign(this, { training, grips: [] });
    this.figure = figure("The rows, and the curve as a constant and sigmoids", HEIGHTS, (_, size) =>
      this.#draw(size),
    );
    this.ground = shape("g");
    this.handles = shape("g");
    this.figure.svg.append(this.ground, this.handles);
    draggable(this.figure.node, {
      axis: "xy",
      begin: (px, py) => {
        this.held = this.#caught(px, py);
        if (this.held === null) chosen(this.#nearestRow(px, py));
      },
      move: (px, py) => this.held && dragged(this.held.j, this.#moved(px, py)),
    });
    // a finger scrolls the page unless it is on a handle
    this.figure.node.style.touchAction = "pan-y";
  }

  // Where a sigmoid is half of its height, on its own curve.
  #handleOf({ w, b, c }) {
    const { x, y } = this.scales;
    const { left, right, top, bottom } = MARGINS;
    return [
      clamp(x(-b / w), left, this.size.width - right),
      clamp(y(this.training.network.constant + c / 2), top, this.size.height - bottom),
    ];
  }

  #caught(px, py) {
    const { units } = this.training.network;
    const distances = units.map((unit) =>
      Math.hypot(...this.#handleOf(unit).map((value, k) => value - [px, py][k])),
    );
    const j = distances.indexOf(Math.min(...distances));
    return distances[j] < NEAR ? { j, py, c: units[j].c } : null;
  }

  #moved(px, py) {
    const { j, py: begun, c } = this.held;
    const { x, y } = this.scales;
    const { left, right } = MARGINS;
    const middle = x.invert(clamp(px, left, this.size.width - right));
    return { b: -this.training.network.units[j].w * middle, c: c + 2 * (y.invert(py) - y.invert(begun)) };
  }

  #nearestRow(px, py) {
    const { u, v } = this.training.pairs;
    const { x, y } = this.scales;
    const distances = u.map((each, i) => Math.hypot(x(each) - px, y(v[i]) - py));
    return distances.indexOf(Math.min(...distances));
  }

  #draw(size) {
    const { pairs, network, row } = this.training;
    this.size = size;
    this.scales = scalesOf(pairs, size);
    this.ground.replaceChildren(
      ...axes(pairs, this.scales, size),
      ...clipped(
        "hand-curve",
        size,
        dots(pairs.u, pairs.v, this.scales),
        this.#constant(),
        this.#parts(),
        this.#path((u) => curveAt(network, u), "own-line"),
        dots(pairs.u, pairs.v, this.scales, [row], "rows chosen"),
      ),
    );
    this.#drawHandles();
  }

  #drawHandles() {
    const { units } = this.training.network;
    if (this.grips.length !== units.length) {
      this.grips.forEach(({ remove }) => remove());
      this.grips = units.map(() => grip(7, this.figure.node));
      this.handles.replaceChildren(...this.grips.map(({ node }) => node));
    }
    this.grips.forEach(({ node, put }, j) => {
      node.style.stroke = UNIT_COLOURS[j];
      put(...this.#handleOf(units[j]));
    });
  }

  #constant() {
    const level = this.scales.y(this.training.network.constant).toFixed(1);
    return shape("path", {
      class: "constant",
      d: `M${MARGINS.left},${level}H${this.size.width - MARGINS.right}`,
    });
  }

  // Each sigmoid by itself on the constant, and its two ReLUs if they are to be seen; what stays as
  // one dotted line.
  #parts() {
    const { network, shown, asPairs } = this.training;
    const alone = (whole, unit) => (u) => curveAt({ ...whole, units: [unit], rest: null }, u);
    const others = network.rest && this.#path((u) => network.constant + restAt(network.rest, u), "constant");
    const sigmoids = network.units.map((unit, j) =>
      this.#path(alone(network, unit), "part", UNIT_COLOURS[j]),
    );
    if (others) sigmoids.push(others);
    if (!asPairs) return sigmoids;
    const relus = shown.units.map((unit, j) =>
      this.#path(alone(shown, unit), "part relu", UNIT_COLOURS[Math.floor(j / 2)]),
    );
    return [...sigmoids, ...relus];
  }

  #path(at, kind, colour) {
    const { x, y } = this.scales;
    const [from, to] = [x.invert(MARGINS.left), x.invert(this.size.width - MARGINS.right)];
    const points = Array.from({ length: PLACES }, (_, i) => {
      const u = from + ((to - from) * i) / (PLACES - 1);
      return [x(u), y(at(u))];
    });
    const path = shape("path", { class: kind, d: through(points) });
    return colour ? set(path, { stroke: colour }) : path;
  }
}
