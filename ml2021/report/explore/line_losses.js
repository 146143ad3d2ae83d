// The loss after each step of chapter 1, over all rows, on a logarithmic axis.

import { shape } from "./dom.js";
import { figure, through, words } from "./lesson_parts.js";
import { linear } from "./scales.js";
import { plural, short } from "./text.js";

const HEIGHTS = [110, 100];
const LEFT = 52;
const FLOOR = 26; // below it the number of steps
const FEWEST = 10; // steps of the axis

export function lossesFigure(descent) {
  return figure("The loss after each step", HEIGHTS, (svg, size) => draw(svg, size, descent.losses));
}

function draw(svg, { width, height }, losses) {
  const known = losses.filter((loss) => Number.isFinite(loss) && loss > 0);
  if (known.length < 2) {
    svg.replaceChildren(words("The loss after each step will be drawn here.", 0, 24));
    return;
  }
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const floor = height - FLOOR;
  const x = linear(0, Math.max(FEWEST, losses.length - 1), LEFT, width - 10);
  const y = linear(Math.log(low), Math.log(high), floor - 6, 12);
  const points = losses.map((loss, i) => [i, loss]).filter(([, loss]) => Number.isFinite(loss) && loss > 0);
  svg.replaceChildren(
    shape("path", { class: "axis", d: `M${LEFT},6V${floor}H${width - 10}` }),
    shape("path", { class: "own-line", d: through(points.map(([i, loss]) => [x(i), y(Math.log(loss))])) }),
    words(short(high), LEFT - 5, 16, "end"),
    words(short(low), LEFT - 5, floor - 2, "end"),
    words(plural(losses.length - 1, "step"), width - 10, height - 8, "end"),
  );
}
