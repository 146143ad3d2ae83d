// The loss over b and w as a surface of bands, the way of gradient descent on it, and its next step.

import { paintBands } from "./bands.js";
import { el, set, shape, picture } from "./dom.js";
import { draggable, sized } from "./gestures.js";
import { lineLoss, squaredError } from "./hand_line.js";
import { arrow, grip, through, words } from "./lesson_parts.js";
import { clamp, linear, ticks } from "./scales.js";
import { short } from "./text.js";

const LARGEST = 360;
const POINTS = { round: 41, gorge: 121 }; // of the grid along each axis: a gorge is narrow
const MOST_ROWS = 100; // of the grid of a gorge, for losses that are no quadratic
const SHOWN_STEPS = 600;

// moved([b, w]) is told of each place that the point is dragged to.
export function surfaceFigure(descent, moved) {
  const surface = new Surface(descent, moved);
  return { node: surface.node, redraw: () => surface.draw() };
}

class Surface {
  constructor(descent, moved) {
    this.descent = descent;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.svg = picture("The loss over b and w, and the way of gradient descent");
    this.ground = shape("g");
    this.grip = grip();
    this.svg.append(this.ground, this.grip.node);
    this.area = el("div", { className: "surface" }, this.canvas, this.svg);
    this.node = el("div", {}, this.area);
    draggable(this.area, { axis: "xy", move: (px, py) => moved(this.#thetaAt(px, py)) });
    this.size = 0;
    sized(this.node, (width) => this.#resize(Math.min(width, innerWidth < 480 ? 272 : LARGEST)));
  }

  #resize(size) {
    this.size = size;
    this.canvas.width = this.canvas.height = size;
    this.area.style.width = this.area.style.height = `${size}px`;
    set(this.svg, { width: size, height: size });
    this.painted = null;
    this.draw();
  }

  get scales() {
    const { best, reach } = this.descent.bowl;
    return {
      x: linear(best[0] - reach[0], best[0] + reach[0], 0, this.size),
      y: linear(best[1] - reach[1], best[1] + reach[1], this.size, 0),
    };
  }

  #thetaAt(px, py) {
    const { x, y } = this.scales;
    return [x.invert(clamp(px, 0, this.size)), y.invert(clamp(py, 0, this.size))];
  }

  draw() {
    if (!this.size) return;
    this.#paint();
    this.#drawWay();
  }

  // The surface is painted again only where it is another one.
  #paint() {
    const { data, settings } = this.descent;
    const key = [settings.loss, this.size];
    if (this.painted?.data === data && this.painted.key === String(key)) return;
    this.painted = { data, key: String(key) };
    const points = settings.standardised ? POINTS.round : POINTS.gorge;
    const grid = this.#grid(points);
    const low = grid.reduce((least, value) => Math.min(least, value), Infinity);
    const high = grid.reduce((most, value) => Math.max(most, value), -Infinity);
    // the square root of the height shows the bottom better
    paintBands(this.canvas, grid, points, (height) =>
      Math.sqrt(Math.max(0, height - low) / (high - low || 1)),
    );
  }

  // The loss at points × points places, from the top left.
  #grid(points) {
    const { settings, data } = this.descent;
    const { x, y } = this.scales;
    const some = settings.standardised || data.u.length <= MOST_ROWS ? null : everyFew(data.u.length);
    const loss =
      settings.loss === "mse"
        ? squaredError(data)
        : (theta) => lineLoss(data, settings.loss, theta, some).value;
    const place = (k) => (k / (points - 1)) * this.size;
    return Float64Array.from({ length: points * points }, (_, i) =>
      loss([x.invert(place(i % points)), y.invert(place(Math.floor(i / points)))]),
    );
  }

  #drawWay() {
    const { descent, size } = this;
    const { x, y } = this.scales;
    const place = ([b, w]) => [x(b), y(w)];
    const way = descent.way.slice(-SHOWN_STEPS).map(place);
    const stops = way.slice(0, -1).map((point) => `${through([point])}h0`);
    const [px, py] = place(descent.theta);
    this.ground.replaceChildren(
      shape("path", { class: "way-halo", d: through(way) }),
      shape("path", { class: "way", d: through(way) }),
      shape("path", { class: "stops", d: stops.join("") }),
      shape("path", { class: "step-halo", d: arrow([px, py], place(descent.next.theta)) }),
      shape("path", { class: "step", d: arrow([px, py], place(descent.next.theta)) }),
      ...surfaceAxes({ x, y }, size),
    );
    this.grip.put(clamp(px, 0, size), clamp(py, 0, size));
  }
}

function surfaceAxes({ x, y }, size) {
  const along = ticks(x.invert(0), x.invert(size), 4).filter((t) => x(t) > 24 && x(t) < size - 30);
  const upward = ticks(y.invert(size), y.invert(0), 5).filter((t) => y(t) > 30 && y(t) < size - 24);
  return [
    ...along.map((t) => words(short(t), x(t), size - 7, "middle", "on-surface")),
    ...upward.map((t) => words(short(t), 6, y(t) + 4, "start", "on-surface")),
    words("b →", size - 8, size - 22, "end", "on-surface"),
    words("↑ w", 6, 16, "start", "on-surface"),
  ];
}

function everyFew(rows) {
  const apart = Math.ceil(rows / MOST_ROWS);
  return Array.from({ length: Math.ceil(rows / apart) }, (_, i) => i * apart);
}
