// Values of columns, and what is odd about them: missing, never seen in training, out of its range.
//
// A column is {values, odd, texts}: what the model takes, a kind for each row, and of categories
// their texts. Counted by column for the notes of `predict`, and refused where it refuses them.

import { exactly } from "./cells.js";
import { TableError } from "./csv.js";
import { isTooFar } from "./model.js";
import { count, echo, listed, plural, visible } from "./text.js";

const [FINE, MISSING, UNSEEN, OUTSIDE] = [0, 1, 2, 3];

export function numbersOf(column, values) {
  const odd = Uint8Array.from(values, (value) => {
    if (Number.isNaN(value)) return MISSING;
    return value < column.low || value > column.high ? OUTSIDE : FINE;
  });
  return { values, odd, texts: null };
}

// cells: their texts, null where one is missing.
export function categoriesOf(column, cells, rules) {
  const find = finder(column.categories, column.storage, rules);
  const findRarer = finder(column.rarer, column.storage, rules);
  const other = column.rarer.length ? column.categories.length : -1;
  const odd = new Uint8Array(cells.length);
  const values = Float64Array.from(cells, (cell, row) => {
    if (cell === null) odd[row] = MISSING;
    if (cell === null) return -1;
    const place = find(cell);
    if (place >= 0) return place;
    if (findRarer(cell) < 0) odd[row] = UNSEEN;
    return other;
  });
  const text = column.storage === "number" ? (cell) => numberText(rules.toNumber(cell)) : (cell) => cell;
  const texts = cells.map((cell, row) => (odd[row] === UNSEEN ? text(cell) : null));
  if (column.date === null) refuseSpellings(column, odd, texts);
  return { values, odd, texts };
}

// A function from a cell to the place of its value among the known ones, −1 for any other value.
export function finder(known, storage, rules) {
  if (storage === "number") {
    const places = new Map(known.map((value, place) => [exactly(value, String(value)), place]));
    return (cell) => (rules.isNumber(cell) ? places.get(rules.exact(cell)) ?? -1 : -1);
  }
  const places = new Map(known.map((value, place) => [value, place]));
  const composed = new Map(known.map((value, place) => [value.normalize("NFC"), place]));
  return (cell) => places.get(cell) ?? composed.get(cell.normalize("NFC")) ?? -1;
}

const numberText = (value) => (Number.isInteger(value) ? String(BigInt(value)) : String(value));

// Refuse rows whose values the network's float32 cannot hold.
export function refuseFar(model, columns, rows) {
  model.columns.forEach((column, j) => {
    if (column.kind !== "number" || columns[j] === null) return;
    const far = rows.find((row) => isTooFar(column, columns[j].values[row]));
    if (far !== undefined)
      throw new TableError(`column '${echo(column.name)}': ${columns[j].values[far]} is out of range`);
  });
}

const MOST_LISTED = 12; // of more columns, those with most odd values

// The notes of `predict` on these rows.
export function notesOn(model, columns, rows) {
  const [missing, unseen, asOther, outside] = [new Map(), new Map(), new Map(), new Map()];
  const ofDates = new Map(); // a missing date is one missing value, not one a part
  const examples = new Map();
  model.columns.forEach((column, j) => {
    if (columns[j] === null) return;
    const { odd, texts } = columns[j];
    const times = [0, 0, 0, 0];
    for (const row of rows) times[odd[row]]++;
    const add = (counts, name, kind) => times[kind] && counts.set(name, times[kind]);
    if (column.date === null) add(missing, column.name, MISSING);
    else add(ofDates, column.date.name, MISSING);
    add(outside, column.name, OUTSIDE);
    add(column.rarer?.length ? asOther : unseen, column.name, UNSEEN);
    if (times[UNSEEN])
      examples.set(column.name, mostFrequent(rows.filter((row) => odd[row] === UNSEEN).map((row) => texts[row])));
  });
  const encoded = model.columns.some(
    ({ kind, name, date }) => kind === "category" && (date === null ? missing.has(name) : ofDates.has(date.name)),
  );
  const asNone = encoded ? " (categories: encoded as none)" : "";
  return [
    ...noteOf(`missing values filled${asNone}`, new Map([...missing, ...ofDates])),
    ...noteOf("categories not seen in training, encoded as none", unseen, examples),
    ...noteOf("categories not seen in training, encoded as other", asOther, examples),
    ...noteOf("values outside the training range", outside),
  ];
}

function noteOf(what, counts, examples = null) {
  const more = Math.max(0, counts.size - MOST_LISTED);
  let odd = [...counts];
  if (more) odd = odd.sort((one, other) => other[1] - one[1]).slice(0, MOST_LISTED);
  const shown = odd.map(
    ([name, times]) => `${visible(name)} ${count(times)}${examples === null ? "" : ` (${examples.get(name)})`}`,
  );
  if (more) shown.push(`and ${plural(more, "more column")}`);
  return shown.length ? [`${what}: ${shown.join(", ")}`] : [];
}

// The three most frequent texts, as `red × 3, blue × 1`.
function mostFrequent(texts) {
  const counts = new Map();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const ordered = [...counts].sort((one, other) => other[1] - one[1]);
  return listed(ordered.map(([text, times]) => `${shown(text)} × ${count(times)}`), 3);
}

// A category for a message, quoted where its ends would not be seen.
function shown(text) {
  return text !== text.trim() || text.includes(",") || text === "" ? `'${text}'` : text;
}

const TRUTH = new Set("yes y true t on 1 no n false f off 0".split(" "));
const TOO_MANY = 20;
const MOST_COMPARED = 1000;

// Refuse categories that are all spelled otherwise than in training; a few new ones are no fault.
function refuseSpellings(column, odd, texts) {
  const unseen = texts.filter((text) => text !== null);
  if (!unseen.length || odd.some((kind) => kind === FINE)) return;
  const here = [...new Set(unseen)].slice(0, MOST_COMPARED);
  const there = [...column.categories, ...column.rarer].map(String);
  const [ours, theirs] = [here.map(folded), there.map(folded)];
  const known = new Set(theirs);
  const alike = ours.some((text) => known.has(text)) || [...ours, ...theirs].every((text) => TRUTH.has(text));
  if (!alike && unseen.length < TOO_MANY) return;
  throw new TableError(
    `column '${echo(column.name)}': categories here ${listed(here.map(shown), 4)}; in training ` +
      `${listed(there.map(shown), 4)}`,
  );
}

// What spellings of one value share: no case, blanks or full stop; a number's value.
function folded(value) {
  const plain = value.normalize("NFKC").toLowerCase().replace(/\s+/g, "").replace(/^[."']+|[."']+$/g, "");
  return plain !== "" && Number.isFinite(Number(plain)) ? String(Number(plain)) : plain;
}
