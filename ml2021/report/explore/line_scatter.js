// The rows and the line of chapter 1, with three grips: the ends turn it, the middle moves it.

import { shape } from "./dom.js";
import { draggable } from "./gestures.js";
import { bestLine } from "./hand_line.js";
import { LOSS_OPTIONS } from "./hand_losses.js";
import { MARGINS, axes, clipped, dots, figure, grip, scalesOf, through } from "./lesson_parts.js";
import { clamp } from "./scales.js";

const HEIGHTS = [340, 240];
const PLACES = [0.1, 0.5, 0.9]; // of the grips, from left to right
const NEAR = 28; // pixels within which a grip, or the line, is caught

// moved([b, w]) is told of each place that the line is dragged to.
export function scatterFigure(descent, moved) {
  const plot = new Scatter(descent, moved);
  return plot.figure;
}

class Scatter {
  constructor(descent, moved) {
    this.descent = descent;
    this.figure = figure("The rows, the line, and how far each row is from it", HEIGHTS, (_, size) =>
      this.#draw(size),
    );
    this.ground = shape("g");
    this.grips = PLACES.map((place) => grip(place === 0.5 ? 5 : 7, this.figure.node));
    this.figure.svg.append(this.ground, ...this.grips.map(({ node }) => node));
    draggable(this.figure.node, {
      axis: "xy",
      begin: (px, py) => (this.held = this.#caught(px, py)),
      move: (px, py) => this.held && moved(this.#dragged(py)),
    });
    // a finger scrolls the page unless it is on a grip
    this.figure.node.style.touchAction = "pan-y";
  }

  #caught(px, py) {
    const points = this.#gripPoints();
    const distances = points.map(([x, y]) => Math.hypot(x - px, y - py));
    const nearest = distances.indexOf(Math.min(...distances));
    const theta = [...this.descent.theta];
    if (distances[nearest] < NEAR) return { part: nearest, py, theta };
    return Math.abs(this.#lineAt(px) - py) < NEAR / 2 ? { part: 1, py, theta } : null;
  }

  #lineAt(px) {
    const [b, w] = this.descent.theta;
    return this.scales.y(b + w * this.scales.x.invert(px));
  }

  // The line that the held grip makes at this height.
  #dragged(py) {
    const { part, theta } = this.held;
    const [b, w] = theta;
    const { x, y } = this.scales;
    const up = y.invert(py) - y.invert(this.held.py);
    if (part === 1) return [b + up, w];
    const [here, other] = (part === 0 ? [0, 2] : [2, 0]).map((k) => x.invert(this.#placeOf(k)));
    const slope = w + up / (here - other);
    return [b + w * other - slope * other, slope];
  }

  #placeOf(k) {
    const { left, right } = MARGINS;
    return left + PLACES[k] * (this.size.width - left - right);
  }

  #gripPoints() {
    const { top, bottom } = MARGINS;
    return PLACES.map((_, k) => {
      const px = this.#placeOf(k);
      return [px, clamp(this.#lineAt(px), top, this.size.height - bottom)];
    });
  }

  #draw(size) {
    const { descent } = this;
    const { data, pairs } = descent;
    const columns = descent.settings.standardised
      ? pairs
      : { x: { ...pairs.x, mean: 0, scale: 1 }, y: { ...pairs.y, mean: 0, scale: 1 } };
    this.size = size;
    this.scales = scalesOf(descent.settings.outlier ? data : descent.plain, size);
    this.ground.replaceChildren(
      ...axes(columns, this.scales, size),
      ...clipped(
        "hand-scatter",
        size,
        this.#residuals(),
        this.#rows(),
        this.#bestLines(),
        this.#line(descent.next.theta, "next-line"),
        this.#line(descent.theta, "own-line"),
      ),
    );
    this.#gripPoints().forEach((point, k) => this.grips[k].put(...point));
  }

  #ends() {
    return [MARGINS.left, this.size.width - MARGINS.right];
  }

  #line([b, w], kind) {
    const { x, y } = this.scales;
    return shape("path", {
      class: kind,
      d: through(this.#ends().map((px) => [px, y(b + w * x.invert(px))])),
    });
  }

  #residuals() {
    const { data, batches } = this.descent;
    const places = batches.next ?? [...data.u.keys()];
    const { x, y } = this.scales;
    const d = places.map((i) => {
      const px = x(data.u[i]);
      return `M${px.toFixed(1)},${y(data.v[i]).toFixed(1)}V${clamp(this.#lineAt(px), -999, 2999).toFixed(1)}`;
    });
    return shape("path", { class: "residuals", d: d.join("") });
  }

  #rows() {
    const { data, batches, settings, outlierRow } = this.descent;
    const own = batches.next;
    const rows = [dots(data.u, data.v, this.scales, data.u.keys(), own === null ? "rows" : "rows faint")];
    if (own !== null) rows.push(dots(data.u, data.v, this.scales, own, "rows batch"));
    if (settings.outlier) rows.push(dots(data.u, data.v, this.scales, [outlierRow], "rows outlier"));
    return shape("g", {}, rows);
  }

  // With an outlier: where each of the losses is lowest.
  #bestLines() {
    if (!this.descent.settings.outlier) return shape("g");
    const lines = LOSS_OPTIONS.map(([loss]) =>
      this.#line(bestLine(this.descent.data, loss), `best-line of-${loss}`),
    );
    return shape("g", {}, lines);
  }
}
