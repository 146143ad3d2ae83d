// The CSV that `ml2021 predict` writes, from predictions of the page.

import { argmax, digitsOf, formatG } from "./text.js";

// predictions: [{values, std}], null where a row has none; half: half the widths of intervals, or
// null; carried: [{name, cells}]; threshold: of two classes, or null. The text of the file.
export function predictionsCsv(model, predictions, { half = null, carried = [], threshold = null } = {}) {
  const columns = model.isClass
    ? classColumns(model, predictions, threshold)
    : realColumns(model, predictions, half);
  const own = new Set(columns.map(([name]) => name));
  const all = [...carried.filter(({ name }) => !own.has(name)).map(({ name, cells }) => [name, cells]), ...columns];
  const lines = [all.map(([name]) => quoted(name)).join(",")];
  const alone = all.length === 1;
  predictions.forEach((_, row) => lines.push(all.map(([, cells]) => quoted(cells[row], alone)).join(",")));
  return `${lines.join("\n")}\n`;
}

// The names of the predicted columns.
export function predictedNames(model, hasIntervals) {
  const half = hasIntervals ? model.target.scales : null;
  return (model.isClass ? classColumns(model, [], null) : realColumns(model, [], half)).map(([name]) => name);
}

// Which class each row is given.
export function chosenClass(values, threshold) {
  return threshold === null ? argmax(values) : Number(values[1] >= threshold);
}

function classColumns(model, predictions, threshold) {
  const { label, labels } = model.target;
  const chosen = predictions.map(({ values }) => chosenClass(values, threshold));
  const numbers = (of) => predictions.map((each, row) => formatG(of(each, row), 9));
  const columns = [[label, chosen.map((place) => shield(labels[place]))]];
  labels.forEach((each, i) => columns.push([`${label}_probability_${each}`, numbers(({ values }) => values[i])]));
  if (writesSpread(model)) columns.push([`${label}_std`, numbers(({ std }, row) => std[chosen[row]])]);
  return columns.map(([name, cells]) => [shield(name), cells]);
}

function realColumns(model, predictions, half) {
  const { labels, means, scales } = model.target;
  return labels.flatMap((label, i) => {
    const digits = digitsOf(means[i], scales[i]);
    const column = (end, value, many) => [
      shield(label + end),
      predictions.map((each) => (each === null ? "" : formatG(value(each), many))),
    ];
    const ends = (sign) => ({ values, far }) => (far ? NaN : values[i] + sign * half[i]);
    const columns = [column("", ({ values }) => values[i], digits)];
    if (writesSpread(model)) columns.push(column("_std", ({ std }) => std[i], 9));
    if (half !== null) columns.push(column("_low", ends(-1), digits), column("_high", ends(1), digits));
    return columns;
  });
}

const writesSpread = ({ payload: { network } }) => network.members > 1 && network.spread;

// Texts that a spreadsheet would run as formulas get a ' before them; numbers stay numbers.
export function shield(text) {
  if (!/^[=+\-@\t\r]/.test(text)) return text;
  return /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+)?$|^[+-](?:inf|infinity|nan)$/i.test(text.trim())
    ? text
    : `'${text}`;
}

// A cell as Python's csv module writes it; an empty one alone on its line needs quotes.
function quoted(text, alone = false) {
  if (text === "") return alone ? '""' : "";
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
