// The columns of numbers that the lessons draw from, and two of them as pairs. No DOM.

import { seeded, shuffle } from "./random.js";

const MOST_PAIRS = 300;
const MOST_TARGETS = 10;

// [{name, values, isTarget, place: of the column, or of the output}] of the training rows on the page,
// NaN where a value is missing; only
// columns that differ from row to row. A class is a column that is 1 in its rows and 0 in others.
export function lessonColumns({ columns, target, background }) {
  const inputs = columns.map(({ name, kind, value }, j) =>
    kind === "number" && value ? { name, place: j, values: background.values.map((row) => row[j]) } : null,
  );
  const targets =
    target.kind === "classes" ? classColumns(target, background) : realColumns(target, background);
  return [
    ...inputs.filter((column) => column !== null).map((column) => ({ ...column, isTarget: false })),
    ...targets.map((column) => ({ ...column, isTarget: true })),
  ]
    .map((column) => ({ ...column, values: column.values.map((value) => value ?? NaN) }))
    .filter(({ values }) => new Set(values.filter((value) => !Number.isNaN(value))).size > 1);
}

function realColumns({ labels }, { truth }) {
  return labels.slice(0, MOST_TARGETS).map((name, t) => ({ name, place: t, values: truth.map((row) => row[t]) }));
}

// Of two classes the second one says it all.
function classColumns({ label, labels }, { truth }) {
  const places = labels.length === 2 ? [1] : [...labels.slice(0, MOST_TARGETS).keys()];
  return places.map((place) => ({
    name: `${label} = ${labels[place]}`,
    place,
    values: truth.map(([own]) => (own === place ? 1 : 0)),
  }));
}

// Places of the first target and of the input that goes with it most, by Pearson's correlation.
export function firstChoice(columns) {
  const target = columns.findIndex(({ isTarget }) => isTarget);
  const to = target < 0 ? columns.length - 1 : target;
  const fits = columns.map((column, i) =>
    i === to || column.isTarget ? -1 : Math.abs(pairsOf(column, columns[to])?.correlation ?? 0),
  );
  return [fits.indexOf(Math.max(...fits)), to];
}

// Rows in which both are known, standardised: {x, y: {name, mean, scale}, u, v (n), correlation};
// null where there are fewer than two, or one of the columns is constant in them.
export function pairsOf(x, y) {
  const known = [...x.values.keys()].filter((i) => !Number.isNaN(x.values[i] + y.values[i]));
  const rows = known.slice(0, MOST_PAIRS);
  const own = [x, y].map((column) => standardised(column, rows));
  if (rows.length < 2 || own.some(({ scale }) => !(scale > 0))) return null;
  const [u, v] = own.map(({ values }) => values);
  const correlation = u.reduce((sum, each, i) => sum + each * v[i], 0) / rows.length;
  return { x: own[0], y: own[1], u, v, correlation };
}

function standardised({ name, values }, rows) {
  const mean = rows.reduce((sum, i) => sum + values[i], 0) / rows.length;
  const variance = rows.reduce((sum, i) => sum + (values[i] - mean) ** 2, 0) / rows.length;
  const scale = Math.sqrt(variance);
  return { name, mean, scale, values: rows.map((i) => (values[i] - mean) / scale) };
}

// The same rows in the units of the table.
export function asTheyAre({ x, y, u, v, correlation }) {
  const back = ({ mean, scale }, values) => values.map((value) => value * scale + mean);
  const unit = (column) => ({ ...column, mean: 0, scale: 1 });
  return { x: unit(x), y: unit(y), u: back(x, u), v: back(y, v), correlation };
}

// The rows of each step: an epoch goes through all of them once, in an order of its own. The next
// batch is known before it is used, so that its step can be shown before it is taken.
export class Batches {
  constructor(rows, size, seed = 1) {
    Object.assign(this, { rows, size, left: [], random: seeded(seed), epoch: 0 });
    this.advance();
  }

  get isFull() {
    return this.size >= this.rows;
  }

  advance() {
    if (this.isFull) {
      this.next = null;
      this.epoch++;
      return;
    }
    if (this.left.length === 0) {
      this.left = this.#shuffled();
      this.epoch++;
    }
    this.next = this.left.splice(0, this.size);
  }

  #shuffled() {
    const order = [...Array(this.rows).keys()];
    shuffle(order, this.random);
    return order;
  }
}
