// A file for the model: its columns, its rows, and what is odd about them, as `ml2021.data.new_table`
// reads it, with the same refusals on the same lines.

import { cellRules } from "./cells.js";
import { readRecords, TableError } from "./csv.js";
import { partsOf } from "./dates.js";
import { matchColumns, neededColumns, readHeader, refuseAbsent, usedPlaces } from "./header.js";
import { categoriesOf, finder, numbersOf } from "./odd.js";
import { echo, listed, plural } from "./text.js";

const SHOWN_CELLS = 3;
const SHOWN_COLUMNS = 5;
const LISTED = 8;

// Of a text: {header, count, lines, cell, columns, series, group, keys, truth, notes}. header: unique
// names; lines: on which each row begins; cell(row, place): a text; columns: see odd.js, null for
// lags; series: the values that lags reach back to, keys: what orders it, group: what tells several
// apart, each null without; truth: target values, NaN or −1 if unknown, null without such columns;
// notes: on columns.
export function readTable(text, model) {
  const { table, series } = model.payload;
  const rules = cellRules(table);
  const { records, fault } = readRecords(text, table);
  const header = readHeader(records, table, rules);
  const body = table.header ? records.slice(1) : records;
  const places = matchColumns(header, table, model.target.sources);
  refuseAbsent(places, neededColumns(model), header, table);
  if (fault !== null) throw fault;
  const cellsOf = (name) => body.map(({ fields }) => textOf(fields[places[name]], rules));
  const numbers = checkNumbers(model, body, places, rules);
  const columns = encodeColumns(model, numbers, cellsOf, rules);
  return {
    header: header.names,
    count: body.length,
    lines: body.map((record) => record.line),
    cell: (row, place) => body[row].fields[place],
    columns,
    series: series === null ? null : numbers.get(series.name),
    keys: series === null || series.order_by === null ? null : cellsOf(series.order_by),
    group: series === null || series.group_by === null ? null : cellsOf(series.group_by),
    groupPlace: series === null || series.group_by === null ? null : places[series.group_by],
    rules,
    truth: series === null ? readTruth(model, body, places, rules) : null,
    notes: notesOnColumns(model, header, places),
  };
}

const textOf = (cell, rules) => (rules.isMissing(cell) ? null : cell);

function encodeColumns(model, numbers, cellsOf, rules) {
  const parts = new Map(model.payload.dates.map((date) => [date.name, partsOf(date, cellsOf(date.name))]));
  return model.columns.map((column) => {
    if (column.kind === "number") {
      if (column.lag !== null) return null;
      return numbersOf(column, column.date ? parts.get(column.date.name).get(column.date.part) : numbers.get(column.source));
    }
    if (!column.date) return categoriesOf(column, cellsOf(column.source), rules);
    const values = parts.get(column.date.name).get(column.date.part);
    const plain = { ...rules, isNumber: () => true, toNumber: Number, exact: Number };
    return categoriesOf(column, Array.from(values, (value) => (Number.isNaN(value) ? null : String(value))), plain);
  });
}

function notesOnColumns({ payload }, header, places) {
  const used = usedPlaces(places, payload.table);
  const ignored = header.names.filter((_, place) => !used.has(place));
  const { weight } = payload;
  return [
    ...(ignored.length ? [`ignoring columns that the model does not use: ${listed(ignored, LISTED)}`] : []),
    ...(weight === null || weight in places ? [] : [`no column ${echo(weight)}, the weight: every row weighs 1`]),
  ];
}

// The numbers (N) of each column that must hold numbers, by its name; NaN where one is missing.
function checkNumbers(model, body, places, rules) {
  const { series } = model.payload;
  const names = new Set(series === null ? [] : [series.name]);
  const coded = new Set();
  for (const { kind, storage, date, source } of model.columns) {
    if (date === null && kind === "number") names.add(source);
    if (date === null && kind === "category" && storage === "number") coded.add(source);
  }
  const found = new Map();
  const faults = [];
  for (const name of [...names, ...coded].sort((one, other) => places[one] - places[other])) {
    const { values, invalid } = toNumbers(body, places[name], rules);
    found.set(name, values);
    if (invalid.size && (names.has(name) || areFew(invalid, body.length))) faults.push([name, invalid]);
  }
  refuseCells(faults, rules);
  return found;
}

// Words throughout, where training had numbers as categories, are another spelling: see odd.js.
function areFew(invalid, rows) {
  const odd = [...invalid.values()].reduce((sum, { times }) => sum + times, 0);
  return 10 * odd <= rows;
}

function toNumbers(body, place, rules) {
  const invalid = new Map();
  const values = Float64Array.from(body, ({ fields, line }) => {
    const cell = fields[place];
    if (rules.isMissing(cell)) return NaN;
    const value = rules.isNumber(cell) ? rules.toNumber(cell) : NaN;
    if (rules.fits(value)) return value;
    if (invalid.has(cell)) invalid.get(cell).times++;
    else invalid.set(cell, { line, times: 1 });
    return NaN;
  });
  return { values, invalid };
}

function refuseCells(faults, rules) {
  if (!faults.length) return;
  const lines = faults.slice(0, SHOWN_COLUMNS).flatMap(([name, invalid]) =>
    [...invalid].slice(0, SHOWN_CELLS).map(([cell, { line, times }]) => {
      const often = times > 1 ? ` (${plural(times, "cell")})` : "";
      const shown = cell === "" ? "an empty cell" : `'${echo(cell)}'`;
      const what = rules.isNumber(cell) ? "is too large (the limit is about 3.4e38)" : "is not a number";
      return `line ${line}: column '${echo(name)}': ${shown}${often} ${what}`;
    }),
  );
  throw new TableError(...lines);
}

// The target values of each row; a class by its place.
function readTruth(model, body, places, rules) {
  const { target } = model;
  if (!target.sources.every((name) => name in places)) return null;
  const own = target.sources.map((name) => places[name]);
  if (!model.isClass) {
    const number = (cell) => (!rules.isMissing(cell) && rules.isNumber(cell) ? rules.toNumber(cell) : NaN);
    return body.map(({ fields }) => own.map((place) => number(fields[place])));
  }
  const find = finder(target.classes, target.storage, rules);
  return body.map(({ fields }) => [rules.isMissing(fields[own[0]]) ? -1 : find(fields[own[0]])]);
}
