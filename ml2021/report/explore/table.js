// A file for the model: its columns by name or position, its rows, and notes on odd values.
//
// What `ml2021.data.new_table`, `.matching`, `.spellings` and `.preprocessing.transform` do, with the
// same notes and the same refusals.

import { cellRules, exactly } from "./cells.js";
import { at, readRecords, TableError } from "./csv.js";
import { isTooFar } from "./model.js";
import { count, echo, listed, plural } from "./text.js";

const MOST_ABSENT = 5;
const SHOWN_CELLS = 3;
const SHOWN_COLUMNS = 5;
const LISTED = 8;

// {header, rows, lines, cells, truth, notes} of a text. header: unique names; rows: values by the
// model's columns; lines: on which each begins; cells: (row, place) => text; truth: target values,
// NaN or −1 if unknown, or null without such columns; notes: as `predict` prints them.
export function readTable(text, model) {
  const { table } = model.payload;
  const rules = cellRules(table);
  const records = readRecords(text, table);
  const header = readHeader(records, table, rules);
  const body = table.header ? records.slice(1) : records;
  const places = matchColumns(header, table, model.target.sources);
  refuseAbsent(places, neededColumns(model), header, table);
  const found = new Encoded();
  const read = (name, reader) => (name in places ? reader(body, places[name]) : null);
  const numbers = checkNumbers(model, body, places, rules);
  const columns = model.columns.map((column) => {
    const own = column.source;
    if (column.kind === "number") return found.numbers(column, numbers.get(own));
    return found.categories(column, read(own, (rows, place) => rows.map((row) => row.fields[place])), rules);
  });
  const rows = body.map((_, row) => columns.map((column) => column[row]));
  const ignored = header.names.filter((_, place) => !usedPlaces(places, table).has(place));
  const notes = [
    ...(ignored.length ? [`ignoring columns that the model does not use: ${listed(ignored, LISTED)}`] : []),
    ...unweighted(model, places),
    ...found.notes(),
  ];
  return {
    header: header.names,
    rows,
    lines: body.map((record) => record.line),
    cells: (row, place) => body[row].fields[place],
    truth: readTruth(model, body, places, rules),
    notes,
  };
}

function unweighted({ payload: { weight } }, places) {
  return weight === null || weight in places ? [] : [`no column ${echo(weight)}, the weight: every row weighs 1`];
}

// {raw, names}: in the composed form of Unicode; repeated names become name.0, name.1, ...
function readHeader(records, table, rules) {
  if (!records.length) throw new TableError("the file is empty; give a file with a table");
  const { fields, line } = records[0];
  if (!table.header) {
    const names = fields.map((_, place) => String(place));
    return { raw: names, names, numbered: true };
  }
  const areNumbers = fields.filter(rules.isNumber);
  const isData = areNumbers.length && fields.every((cell) => rules.isNumber(cell) || rules.isMissing(cell));
  const filled = fields.filter((cell) => cell !== "");
  const areIndices = filled.length === areNumbers.length && filled.every((cell, i) => cell === String(i));
  if (isData && !areIndices) throw at(line, "numbers instead of column names; add a header");
  const nameless = fields.indexOf("");
  if (nameless >= 0) throw at(line, `column ${nameless + 1} has no name; give it one`);
  if (records.length < 2) throw new TableError("a header but no rows; add rows");
  const raw = fields.map((name) => name.normalize("NFC"));
  return { raw, names: uniqueNames(raw), numbered: false };
}

function uniqueNames(raw) {
  const counts = new Map();
  for (const name of raw) counts.set(name, (counts.get(name) ?? 0) + 1);
  const taken = new Set(raw);
  const following = new Map();
  return raw.map((name) => {
    let unique = name;
    while (counts.get(name) > 1 && taken.has(unique)) {
      const next = following.get(name) ?? 0;
      unique = `${name}.${next}`;
      following.set(name, next + 1);
    }
    taken.add(unique);
    return unique;
  });
}

// The place in the file of each column of the training file that it has.
function matchColumns(header, table, targetNames) {
  const found = {};
  const { raw } = header;
  if (!header.numbered && !table.numbered) {
    const seen = new Map();
    const places = new Map();
    raw.forEach((name, place) => {
      const occurrence = seen.get(name) ?? 0;
      seen.set(name, occurrence + 1);
      places.set(`${occurrence}\0${name}`, place);
    });
    for (const [name, source] of Object.entries(table.sources)) {
      const place = places.get(`${source.occurrence}\0${source.raw}`);
      if (place !== undefined) found[name] = place;
    }
    return found;
  }
  const targets = new Set(targetNames.map((name) => table.sources[name].position));
  const given = Array.from({ length: table.width }, (_, i) => i).filter(
    (i) => raw.length === table.width || !targets.has(i),
  );
  if (given.length !== raw.length)
    throw new TableError(
      `${plural(raw.length, "column")}, but the training file has ${count(table.width)}; without a header the ` +
        "position counts, so give all of them, or all but the target",
    );
  const places = new Map(given.map((position, place) => [position, place]));
  for (const [name, source] of Object.entries(table.sources))
    if (places.has(source.position)) found[name] = places.get(source.position);
  return found;
}

function neededColumns(model) {
  const { series } = model.payload;
  const own = model.columns.map((column) => column.source);
  const ordering = series === null ? [] : [series.name, series.order_by, series.group_by];
  return [...new Set([...own, ...ordering].filter((name) => name !== null))];
}

function refuseAbsent(places, needed, header, table) {
  const absent = needed.filter((name) => !(name in places));
  if (absent.length > MOST_ABSENT)
    throw new TableError(
      `${absent.length} of the ${needed.length} columns that the model needs are missing: ` +
        `${listed(absent, MOST_ABSENT)}; check that this is the right run`,
    );
  if (absent.length)
    throw new TableError(
      ...absent.map((name) => {
        const { raw } = table.sources[name];
        const times = header.raw.filter((each) => each === raw).length;
        const only = times ? `; '${echo(raw)}' occurs only ${plural(times, "time")}` : "";
        return `column '${echo(name)}' is missing${only}`;
      }),
    );
}

function usedPlaces(places, table) {
  const leftOut = new Set(table.left_out);
  return new Set(Object.entries(places).filter(([name]) => !leftOut.has(name)).map(([, place]) => place));
}

// The numbers (N) of each column that must hold numbers, by its name; NaN where one is missing.
function checkNumbers(model, body, places, rules) {
  const { series } = model.payload;
  const names = new Set(series === null ? [] : [series.name]);
  for (const column of model.columns) if (column.kind === "number" && column.date === null) names.add(column.source);
  const found = new Map();
  const faults = [];
  for (const name of [...names].sort((one, other) => places[one] - places[other])) {
    const { values, invalid } = toNumbers(body, places[name], rules);
    found.set(name, values);
    if (invalid.size) faults.push([name, invalid]);
  }
  for (const [name, invalid] of codedFaults(model, body, places, rules)) faults.push([name, invalid]);
  refuseCells(faults, rules);
  return found;
}

function toNumbers(body, place, rules) {
  const invalid = new Map();
  const values = Float64Array.from(body, ({ fields, line }) => {
    const cell = fields[place];
    if (rules.isMissing(cell)) return NaN;
    const value = rules.isNumber(cell) ? rules.toNumber(cell) : NaN;
    if (rules.fits(value)) return value;
    const known = invalid.get(cell);
    if (known) known.times++;
    else invalid.set(cell, { line, times: 1 });
    return NaN;
  });
  return { values, invalid };
}

// Cells that are no numbers in columns of categories that are numbers; words throughout are
// another spelling, which `Encoded` refuses.
function* codedFaults(model, body, places, rules) {
  for (const column of model.columns) {
    if (column.kind !== "category" || column.storage !== "number" || column.date !== null) continue;
    const { invalid } = toNumbers(body, places[column.source], rules);
    const odd = [...invalid.values()].reduce((sum, { times }) => sum + times, 0);
    if (odd && 10 * odd <= body.length) yield [column.source, invalid];
  }
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

// A function from a cell to the place of its value among the known ones, −1 for any other value.
function finder(known, storage, rules) {
  if (storage === "number") {
    const places = new Map(known.map((value, place) => [exactly(value, String(value)), place]));
    return (cell) => (rules.isNumber(cell) ? places.get(rules.exact(cell)) ?? -1 : -1);
  }
  const places = new Map(known.map((value, place) => [value, place]));
  const composed = new Map(known.map((value, place) => [value.normalize("NFC"), place]));
  return (cell) => places.get(cell) ?? composed.get(cell.normalize("NFC")) ?? -1;
}

// Encodes columns, and counts their odd values for the notes.
class Encoded {
  constructor() {
    this.missing = new Map();
    this.unseen = new Map();
    this.asOther = new Map();
    this.outside = new Map();
    this.examples = new Map();
  }

  numbers(column, values) {
    let missing = 0;
    let outside = 0;
    let farthest = 0;
    for (const value of values) {
      if (Number.isNaN(value)) missing++;
      else if (value < column.low || value > column.high) outside++;
      if (isTooFar(column, value)) farthest = value;
    }
    if (farthest) throw new TableError(`column '${echo(column.name)}': ${farthest.toPrecision(6)} is out of range`);
    if (missing) this.missing.set(column.name, missing);
    if (outside) this.outside.set(column.name, outside);
    return values;
  }

  categories(column, cells, rules) {
    const find = finder(column.categories, column.storage, rules);
    const findRarer = finder(column.rarer, column.storage, rules);
    const other = column.rarer.length ? column.categories.length : -1;
    const unknown = new Map();
    let missing = 0;
    let known = 0;
    const values = Float64Array.from(cells, (cell) => {
      if (rules.isMissing(cell)) {
        missing++;
        return -1;
      }
      const place = find(cell);
      if (place >= 0 || findRarer(cell) >= 0) known++;
      else unknown.set(cell, (unknown.get(cell) ?? 0) + 1);
      return place >= 0 ? place : other;
    });
    if (missing) this.missing.set(column.name, missing);
    if (!unknown.size) return values;
    if (!known) refuseSpellings(column, unknown);
    const counts = other < 0 ? this.unseen : this.asOther;
    counts.set(column.name, cells.length - missing - known);
    this.examples.set(column.name, mostFrequent(unknown, column.storage, rules));
    return values;
  }

  notes() {
    const kinds = [
      ["missing values filled (categories: encoded as none)", this.missing],
      ["categories not seen in training, encoded as none", this.unseen],
      ["categories not seen in training, encoded as other", this.asOther],
      ["values outside the training range", this.outside],
    ];
    return kinds
      .filter(([, counts]) => counts.size)
      .map(([what, counts]) => {
        const example = (name) => {
          const isUnseen = counts === this.unseen || counts === this.asOther;
          return isUnseen ? ` (${this.examples.get(name)})` : "";
        };
        const texts = [...counts].map(([name, times]) => `${echo(name)} ${count(times)}${example(name)}`);
        return `${what}: ${texts.join(", ")}`;
      });
  }
}

// The three most frequent values, as `red × 3, blue × 1`.
function mostFrequent(counts, storage, rules) {
  const ordered = [...counts].sort((one, other) => other[1] - one[1]);
  const text = (cell) => (storage === "number" ? numberText(rules.toNumber(cell)) : cell);
  return listed(ordered.map(([cell, times]) => `${shown(text(cell))} × ${count(times)}`), 3);
}

const numberText = (value) => (Number.isInteger(value) ? String(BigInt(value)) : String(value));

// A category for a message, quoted where its ends would not be seen.
function shown(text) {
  return text !== text.trim() || text.includes(",") || text === "" ? `'${text}'` : text;
}

const TRUTH = new Set("yes y true t on 1.0 1 no n false f off 0.0 0".split(" "));
const TOO_MANY = 20;

// Refuse categories that are all spelled otherwise than in training; a few new ones are no fault.
function refuseSpellings(column, unknown) {
  const here = [...unknown.keys()].map(folded);
  const there = [...column.categories, ...column.rarer].map(folded);
  const alike = here.some((each) => there.includes(each)) || [...here, ...there].every((each) => TRUTH.has(each));
  const rows = [...unknown.values()].reduce((sum, times) => sum + times, 0);
  if (!alike && rows < TOO_MANY) return;
  const ours = listed([...unknown.keys()].map(shown), 4);
  const theirs = listed(column.labels.map(shown), 4);
  throw new TableError(`column '${echo(column.name)}': categories here ${ours}; in training ${theirs}`);
}

function folded(value) {
  const text = String(value).normalize("NFKC").toLowerCase().replace(/\s+/g, "").replace(/^[."']+|[."']+$/g, "");
  return text !== "" && Number.isFinite(Number(text)) ? String(Number(text)) : text;
}
