// The two pictures of chapter 0: the function of one parameter in the rows, and the loss over it.

import { shape } from "./dom.js";
import { draggable } from "./gestures.js";
import { lossCurve } from "./hand_valley.js";
import {
  MARGINS,
  arrow,
  axes,
  clipped,
  dots,
  figure,
  grip,
  scalesOf,
  through,
  words,
} from "./lesson_parts.js";
import { clamp, linear, ticks } from "./scales.js";
import { short } from "./text.js";

const HEIGHTS = [300, 220];
const PLACES = 81;

// one: the OneParameter that is drawn.
export function functionFigure(one) {
  return figure("The rows, and the function of one parameter", HEIGHTS, (svg, size) =>
    drawFunction(svg, size, one),
  );
}

function drawFunction(svg, size, one) {
  const { pairs } = one;
  const scales = scalesOf(pairs, size);
  const ends = [scales.x.invert(MARGINS.left), scales.x.invert(size.width - MARGINS.right)];
  const line = (w, kind) => {
    const points = Array.from({ length: PLACES }, (_, i) => {
      const u = ends[0] + ((ends[1] - ends[0]) * i) / (PLACES - 1);
      return [scales.x(u), scales.y(one.shape.at(u, w))];
    });
    return shape("path", { class: kind, d: through(points) });
  };
  const chosen = one.shape.rows === null ? [] : dots(pairs.u, pairs.v, scales, one.shape.rows, "rows chosen");
  svg.replaceChildren(
    ...axes(pairs, scales, size),
    ...clipped(
      "hand-function",
      size,
      dots(pairs.u, pairs.v, scales),
      chosen,
      line(one.next, "next-line"),
      line(one.at, "own-line"),
    ),
  );
}

// begin(w): its point was dragged there.
export function lossFigure(one, begin) {
  return new LossPlot(one, begin).figure;
}

class LossPlot {
  constructor(one, begin) {
    this.one = one;
    this.figure = figure("The loss over w, its tangent, and the next step", HEIGHTS, (_, size) =>
      this.#draw(size),
    );
    this.ground = shape("g");
    this.grip = grip();
    this.figure.svg.append(this.ground, this.grip.node);
    draggable(this.figure.node, { move: (px) => begin(this.scales.x.invert(px)) });
  }

  #draw(size) {
    const { one } = this;
    const { view } = one;
    const curve = one.trail.length ? lossCurve(one.pairs, one.shape, view) : one.curve;
    const losses = curve.map(([, loss]) => loss);
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const { left, right, top, bottom } = MARGINS;
    const x = linear(...view, left, size.width - right);
    const y = linear(low - 0.16 * (high - low), high + 0.04 * (high - low), size.height - bottom, top);
    this.scales = { x, y };
    const line = shape("path", {
      class: "own-line",
      d: through(curve.map(([w, loss]) => [x(w), y(loss)])),
    });
    this.ground.replaceChildren(
      ...lossAxes(view, [low, high], { x, y }, size),
      ...clipped("hand-loss", size, line, this.#tangent(x, y), this.#steps(x, y)),
      ...this.#valleyNames(x, y, size),
    );
    const { value } = this.one.here;
    this.grip.put(
      clamp(x(this.one.at), left, size.width - right),
      clamp(y(value), top, size.height - bottom),
    );
  }

  // The tangent reaches as far as a fifth of the picture.
  #tangent(x, y) {
    const { value, slope } = this.one.here;
    const reach = 0.1 * (this.one.view[1] - this.one.view[0]);
    const ends = [-reach, reach].map((step) => [x(this.one.at + step), y(value + slope * step)]);
    return shape("path", { class: "tangent", d: through(ends) });
  }

  #steps(x, y) {
    const level = y(this.one.here.value);
    const onCurve = (w) => [x(w), y(this.one.lossAt(w).value)];
    const way = [...this.one.trail, this.one.at].map(onCurve);
    const marks = this.one.trail.map((w) => `${through([onCurve(w)])}h0`);
    const [nextX, nextY] = onCurve(this.one.next);
    return [
      shape("path", { class: "zigzag", d: through(way) }),
      shape("path", { class: "trail", d: marks.join("") }),
      shape("path", { class: "step", d: arrow([x(this.one.at), level], [clamp(nextX, -999, 9999), level]) }),
      shape("circle", {
        class: "next-point",
        cx: clamp(nextX, -99, 9999),
        cy: clamp(nextY, -99, 9999),
        r: 5,
      }),
    ];
  }

  #valleyNames(x, y, size) {
    const names = this.one.valleys.length > 1 ? ["the minimum", "a local minimum"] : ["the minimum"];
    return this.one.valleys.slice(0, 2).map(({ w, value }, i) => {
      const place = clamp(x(w), MARGINS.left + 44, size.width - MARGINS.right - 50);
      return words(names[i], place, y(value) + 18, "middle", "of-valley");
    });
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
