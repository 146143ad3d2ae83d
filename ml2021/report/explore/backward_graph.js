// The network of chapter 3 as a graph: the numbers of one row in ink, the slopes of e in orange.

import { el, set, shape } from "./dom.js";
import { sized } from "./gestures.js";
import { parameterName } from "./hand_backward.js";
import { words } from "./lesson_parts.js";
import { STAGE } from "./lesson_stages.js";
import { number } from "./text.js";

const WIDEST = 860;
const NARROW = 560;
const UNIT_HEIGHT = 78; // of a unit's place
const RADIUS = 24;

// pick({kind, j}): a weight was chosen; read(): the state that is drawn, see BackwardChapter.
export function backwardGraph(pick, read) {
  const svg = shape("svg", { role: "group", "aria-label": "The network with its numbers for one row" });
  const node = el("div", { className: "graph" }, svg);
  const redraw = sized(node, (width) => drawGraph(svg, Math.min(width, WIDEST), read(), pick));
  return { node, redraw };
}

function drawGraph(svg, width, state, pick) {
  const units = state.network.units.length;
  const height = Math.max(170, UNIT_HEIGHT * units);
  const isNarrow = width < NARROW;
  const xs = isNarrow ? [28, 0.49 * width, width - 30] : [60, 0.45 * width, width - 150];
  const middle = height / 2;
  const level = (j) => ((j + 0.5) * height) / units;
  const places = { xs, middle, level, isNarrow };
  const focused = document.activeElement?.dataset?.weight;
  set(svg, { width, height });
  svg.replaceChildren(
    ...state.network.units.flatMap((_, j) => [
      edge(state, { kind: "w", j }, [xs[0], middle], [xs[1], level(j)], pick, places),
      edge(state, { kind: "c", j }, [xs[1], level(j)], [xs[2], middle], pick, places),
    ]),
    ...state.network.units.flatMap((_, j) => unitNode(state, j, xs[1], level(j))),
    ...inputNode(state, xs[0], middle),
    ...outputNode(state, xs[2], middle, places),
  );
  if (focused) svg.querySelector(`[data-weight="${focused}"]`)?.focus({ preventScroll: true });
}

// A weight: a line to tap, with its value, and its slope once it is known.
function edge(state, key, [x0, y0], [x1, y1], pick, { isNarrow }) {
  const { network, pass, picked, stage } = state;
  const isW = key.kind === "w";
  const name = parameterName(key);
  const value = network.units[key.j][key.kind];
  const slope = isW ? pass.over.z[key.j] * pass.x : pass.over.y * pass.a[key.j];
  const isKnown = stage >= (isW ? STAGE.overW : STAGE.overA);
  const isPicked = picked.kind === key.kind && picked.j === key.j;
  const ends = { x1: x0, y1: y0, x2: x1, y2: y1 };
  const share = isW ? 0.56 : 0.42;
  const [x, y] = [x0 + share * (x1 - x0), y0 + share * (y1 - y0)];
  const choose = () => pick(key);
  const label = `${name} = ${number(value)}${isKnown ? `, slope ${number(slope)}` : ""}`;
  const node = shape(
    "g",
    {
      class: isPicked ? "edge on" : "edge",
      role: "button",
      tabindex: 0,
      "aria-pressed": String(isPicked),
      "aria-label": label,
    },
    shape("line", { ...ends, class: "touch" }),
    shape("line", ends),
    words(isNarrow ? number(value) : `${name} ${number(value)}`, x, y - 4, "middle", "value"),
    isKnown ? words(number(slope), x, y + 12, "middle", "back") : null,
  );
  node.dataset.weight = key.kind + key.j;
  node.addEventListener("click", choose);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
  return node;
}

function unitNode({ pass, stage }, j, x, y) {
  return [
    shape("circle", { class: "node", cx: x, cy: y, r: RADIUS }),
    stage >= STAGE.z ? words(number(pass.a[j]), x, y + 4, "middle", "value") : words("a", x, y + 4, "middle"),
    stage >= STAGE.overZ ? words(number(pass.over.z[j]), x, y + RADIUS + 12, "middle", "back") : null,
  ].filter((part) => part !== null);
}

function inputNode({ pass }, x, y) {
  return [
    shape("circle", { class: "node", cx: x, cy: y, r: RADIUS }),
    words("x", x, y - 6, "middle"),
    words(number(pass.x), x, y + 9, "middle", "value"),
  ];
}

// ŷ, and beside or under it the truth, the error, and where the way back begins.
function outputNode({ pass, stage }, x, y, { isNarrow }) {
  const side = isNarrow ? [x + RADIUS + 4, y + RADIUS + 16, "end"] : [x + RADIUS + 10, y - 14, "start"];
  const lines = [
    ["value", `y ${number(pass.y)}`, 0],
    ["value", `e ${number(pass.e)}`, STAGE.error],
    ["back", `∂e/∂ŷ ${number(pass.over.y)}`, STAGE.overY],
  ].filter(([, , from]) => stage >= from);
  return [
    shape("circle", { class: "node", cx: x, cy: y, r: RADIUS }),
    words("ŷ", x, y - 6, "middle"),
    words(stage >= STAGE.predicted ? number(pass.predicted) : "", x, y + 9, "middle", "value"),
    ...lines.map(([kind, text], i) => words(text, side[0], side[1] + 17 * i, side[2], kind)),
  ];
}
