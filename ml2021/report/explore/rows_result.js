// What came of a file: its scores, the notes of `predict`, a picture, a table, and the file to save.

import { checkbox, choice, numberInput } from "./controls.js";
import { el } from "./dom.js";
import { predictedNames, predictionsCsv, shield } from "./predictions.js";
import { scatter } from "./scatter.js";
import { answer, certainty, inWords, knownRows, scoresOf } from "./scores.js";
import { count, echo, listed, number, percent, plural } from "./text.js";

const MOST_SHOWN = 100;
const MOST_POINTS = 3000;
const SEEN = "this is the training file, whose rows are predicted too well";

// read: {name, table, predictor, took, seen}; took: milliseconds; seen: whether it is the training
// file.
export function showResult(app, box, read) {
  const { table, predictor, name } = read;
  const { predictions, truth } = predictor;
  const known = knownRows(app.model, predictions, truth);
  const names = table.lines.map((line) => `line ${line} of ${name}`);
  const source = { label: name, rows: predictor.values, truth, names };
  const options = { level: app.level, threshold: null, carried: "", withInterval: app.level !== null };
  const view = { app, read, known, source, options };
  const said = el("div");
  const rest = el("div", { className: "pictures" });
  const redraw = () => {
    said.replaceChildren(...sentences(view));
    rest.replaceChildren(...pictures(view));
  };
  box.replaceChildren(
    el(
      "p",
      {},
      el("b", {}, `${plural(predictions.length, "row")} of ${name}`),
      ` read in ${table.took.toFixed(0)} ms, predicted in ${read.took.toFixed(0)} ms.`,
    ),
    said,
    saving(view, redraw),
    rest,
  );
  redraw();
  document.dispatchEvent(new CustomEvent("predicted"));
}

const halfOf = ({ app, options }) => (options.withInterval ? app.model.halfWidths(options.level) : null);

function sentences(view) {
  const { app, read, known, options } = view;
  const notes = read.predictor.notes(options.withInterval);
  if (options.threshold !== null)
    notes.push(
      `${echo(app.model.target.labels[1])} is predicted where its probability is at least ${options.threshold}`,
    );
  notes.push(...notesOnNames(app.model, view));
  if (read.seen) notes.push(SEEN);
  return [
    known.length ? el("p", {}, scoreText(view)) : null,
    notes.length ? el("ul", { className: "notes" }, notes.map((note) => el("li", {}, note))) : null,
  ].filter((node) => node !== null);
}

// What the saved file lacks or changes: copied columns of predicted names, texts like formulas.
function notesOnNames(model, view) {
  const { label, labels } = model.target;
  const own = new Set(predictedNames(model, halfOf(view) !== null));
  const clash = carriedColumns(view).filter(({ name }) => own.has(name));
  const formulas = (model.isClass ? [label, ...labels] : labels).filter((text) => shield(text) !== text);
  return [
    ...(clash.length ? [`not copied, as predictions have these names: ${listed(clash.map(({ name }) => name), 6)}`] : []),
    ...(formulas.length
      ? [`texts that a spreadsheet would run as formulas, prefixed with ': ${listed(formulas, 6)}`]
      : []),
  ];
}

function scoreText(view) {
  const { app, read, known, options } = view;
  const half = halfOf(view);
  const scores = scoresOf(app.model, read.predictor.predictions, read.predictor.truth, known, {
    half,
    threshold: options.threshold,
  });
  const on = `on the ${plural(known.length, "row")} whose truth is known`;
  if (scores.accuracy !== undefined) return `Accuracy ${percent(scores.accuracy)} ${on}.`;
  const inside = scores.inside === null ? "" : `; ${percent(scores.inside)} inside the ${100 * options.level} % interval`;
  return `MAE ${number(scores.mae)}, RMSE ${number(scores.rmse)} ${on}${inside}.`;
}

function saving(view, redraw) {
  const { app, read, options } = view;
  const { model } = app;
  const names = read.table.header;
  const carried = choice({
    label: "with the column",
    options: [["", "(none)"], ...names.map((name, place) => [String(place), name])],
    value: "",
    onchange: (value) => {
      options.carried = value;
      redraw();
    },
  });
  carried.input.id = "carried";
  carried.node.firstChild.htmlFor = "carried";
  const parts = [
    el("button", { type: "button", className: "main", id: "download", onclick: () => save(view) }, "Save the predictions"),
    carried.node,
  ];
  if (app.levels.length) parts.push(...intervalControls(view, redraw));
  if (model.isClass && model.T === 2) parts.push(thresholdControl(view, redraw));
  return el("div", { className: "controls" }, parts);
}

function intervalControls({ app, options }, redraw) {
  const level = choice({
    label: "of",
    options: app.levels.map((each) => [String(each), `${100 * each} %`]),
    value: String(options.level),
    onchange: (value) => {
      options.level = Number(value);
      redraw();
    },
  });
  const box = checkbox({
    label: "with intervals",
    value: options.withInterval,
    onchange: (value) => {
      options.withInterval = value;
      redraw();
    },
  });
  box.input.id = "with-interval";
  return [box.node, level.node];
}

function thresholdControl({ app, options }, redraw) {
  const label = app.model.target.labels[1];
  const input = numberInput({
    label: `${label} from this probability on; empty: the likelier class`,
    value: NaN,
    empty: true,
    onchange: (value) => {
      options.threshold = value > 0 && value < 1 ? value : null;
      if (options.threshold === null) input.set(NaN);
      redraw();
    },
  });
  input.input.id = "threshold";
  return el("span", { className: "field" }, el("label", { htmlFor: "threshold" }, `${label} from probability`), input.node);
}

// The columns of the file that are saved, too; the one that tells several series apart always is.
function carriedColumns({ read, options }) {
  const { table } = read;
  const places = [table.groupPlace, options.carried === "" ? null : Number(options.carried)];
  return [...new Set(places)]
    .filter((place) => place !== null)
    .map((place) => ({ name: table.header[place], cells: table.lines.map((_, row) => table.cell(row, place)) }));
}

function save(view) {
  const { app, read, options } = view;
  const text = predictionsCsv(app.model, read.predictor.predictions, {
    half: halfOf(view),
    carried: carriedColumns(view),
    threshold: options.threshold,
  });
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const name = `${read.name.replace(/\.gz$/i, "").replace(/\.(csv|tsv|txt)$/i, "")}.predictions.csv`;
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function pictures(view) {
  const { app, read, known } = view;
  const { predictions } = read.predictor;
  const half = halfOf(view);
  const found = [];
  if (known.length > 1 && !app.model.isClass && app.model.T === 1) found.push(scatterOf(view, half));
  const region = { className: "scroll listing", tabIndex: 0, role: "region", "aria-label": "Predictions" };
  const rest = predictions.length > MOST_SHOWN;
  const which = app.payload.series === null ? "first" : "last"; // what comes next ends a series
  const note = `The ${which} ${MOST_SHOWN} rows; the saved file has all ${count(predictions.length)}.`;
  found.push(el("div", {}, el("div", region, listing(view, half)), rest ? el("p", { className: "note" }, note) : null));
  return found;
}

function scatterOf({ app, read, known, source }, half) {
  const { predictions, truth } = read.predictor;
  const every = Math.ceil(known.length / MOST_POINTS);
  const points = known
    .filter((_, i) => i % every === 0)
    .map((row) => ({ truth: truth[row][0], value: predictions[row].values[0], row }));
  return scatter({
    points,
    half: half === null ? null : half[0],
    name: app.model.target.name,
    choose: app.canLook ? (row) => app.lookAt(source, row) : null,
  });
}

function listing(view, half) {
  const { app, read, source, options } = view;
  const { target, isClass } = app.model;
  const { predictions, truth } = read.predictor;
  const name = (row) => {
    const text = `line ${read.table.lines[row]}`;
    if (!app.canLook || predictions[row] === null) return text;
    return el("button", { type: "button", className: "link", onclick: () => app.lookAt(source, row) }, text);
  };
  const inUnits = (value, t) => number(value, target.scales[t]);
  const interval = ({ values, far }) =>
    far ? "" : inWords(Array.from(values, (v, t) => `${inUnits(v - half[t], t)} to ${inUnits(v + half[t], t)}`));
  const columns = [
    ["row", (row) => name(row)],
    [target.label ?? target.name, (row, found) => answer(app.model, found, options.threshold)],
  ];
  if (isClass) columns.push(["probability", (row, found) => percent(certainty(found, options.threshold))]);
  else if (half !== null) columns.push(["interval", (row, found) => interval(found)]);
  const known = (row) => (isClass ? target.labels[truth[row][0]] ?? "" : inWords(truth[row].map(inUnits)));
  if (truth !== null) columns.push(["truth", known]);
  const cells = (row) =>
    columns.map(([heading, text]) =>
      el("td", {}, predictions[row] === null && heading !== "row" && text !== known ? "" : text(row, predictions[row])),
    );
  const first = app.payload.series === null ? 0 : Math.max(0, predictions.length - MOST_SHOWN);
  const shown = predictions.slice(first, first + MOST_SHOWN);
  const rows = shown.map((_, at) => el("tr", {}, cells(first + at)));
  const head = columns.map(([heading]) => el("th", { scope: "col" }, heading));
  return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
