// Shares as a waterfall: from the reference, column by column, to the prediction.

import { el, shape } from "./dom.js";
import { clamp } from "./scales.js";
import { count } from "./text.js";
import { valueText } from "./whatif_card.js";

const MOST_BARS = 8;
const LEAST_SUM = 7; // letters

// The lines of the picture, greatest share first; the many small ones as one. All have the sums' width.
export function waterfall(desk, { shares, errors, from, to }, name) {
  const bars = barsOf(desk, shares, errors), ends = stack(bars, from);
  const least = Math.min(to, ...ends), most = Math.max(to, ...ends), pad = 0.06 * (most - least) || 1;
  const x = (value) => (100 * (value - least + pad) / (most - least + 2 * pad)).toFixed(2);
  const fixed = fixedDigits([to - from, ...bars.map(({ share }) => share)]);
  const end = (label, value) =>
    line("edge", label, "", fixed(value), shape("line", { x1: x(value), x2: x(value), y1: 2, y2: 18, class: "end" }));
  const lines = [end(name, from), ...bars.map((bar) => barLine(bar, x, fixed)), end("this row", to)];
  const longest = Math.max(...lines.map(({ lastChild }) => lastChild.textContent.length));
  lines.forEach(({ style }) => style.setProperty("--sum", `${Math.max(LEAST_SUM, longest + 1)}ch`));
  return lines;
}

function barsOf(desk, shares, errors) {
  const { columns } = desk.model, all = [...shares].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const error = (j) => errors?.get(j) ?? 0, top = all.slice(0, MOST_BARS), rest = all.slice(MOST_BARS);
  const bars = top.map(([j, share]) => ({
    name: columns[j].name, detail: valueText(columns[j], desk.hand.values[j]), share, error: error(j),
  }));
  if (rest.length) {
    bars.push({
      name: `${count(rest.length)} others`,
      detail: "",
      share: rest.reduce((sum, [, share]) => sum + share, 0),
      error: Math.hypot(...rest.map(([j]) => error(j))),
    });
  }
  return bars;
}

// Let each bar begin where the one before ends; return all ends.
function stack(bars, from) {
  let at = from;
  return [from, ...bars.map((bar) => {
    bar.from = at;
    return bar.to = at += bar.share;
  })];
}

function barLine({ name, detail, share, error, from, to }, x, fixed) {
  const [left, right] = [Math.min(from, to), Math.max(from, to)], size = fixed(Math.abs(share));
  const isNone = !/[1-9]/.test(size), sign = share > 0 ? "+" : "−";
  return line(share >= 0 ? "up" : "down", name, detail, isNone ? size : sign + size,
    shape("line", { x1: x(from), x2: x(from), y1: 0, y2: 20, class: "joint" }),
    shape("rect", { x: x(left), y: 4, width: Math.max(0.4, x(right) - x(left)), height: 12 }),
    ...(error > 0 && Number.isFinite(error) ? [shape("line", {
      x1: x(to - 2 * error), x2: x(to + 2 * error), y1: 10, y2: 10, class: "whisker",
    })] : []));
}

function line(kind, name, detail, sum, ...marks) {
  const picture = shape("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(...marks);
  return el("div", { className: `bar ${kind}` },
    el("span", { className: "name", title: name }, name, detail ? el("i", {}, ` ${detail}`) : ""),
    picture, el("span", { className: "sum" }, sum));
}

// As many decimals for all as show three digits of the greatest.
function fixedDigits(values) {
  const greatest = Math.max(1e-9, ...values.map(Math.abs));
  const digits = clamp(2 - Math.floor(Math.log10(greatest)), 0, 8);
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (value) => value.toLocaleString("en-US", options).replace("-", "−");
}
