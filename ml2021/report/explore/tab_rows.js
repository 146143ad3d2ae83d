// The tab "Many rows": a table dropped on the page, read as strictly as ml2021 reads it, predicted
// here and saved as `ml2021 predict` writes it.

import { checkbox, choice, numberInput } from "./controls.js";
import { decode, TableError, unpack } from "./csv.js";
import { el } from "./dom.js";
import { registerTab } from "./frame.js";
import { sliced } from "./gestures.js";
import { predictionsCsv } from "./predictions.js";
import { scatter } from "./scatter.js";
import { answer, certainty, knownRows, scoresOf } from "./scores.js";
import { readTable } from "./table.js";
import { count, echo, listed, number, percent, plural } from "./text.js";

const MOST_BYTES = 2 ** 28;
const MOST_SHOWN = 100;
const MOST_POINTS = 3000;
const AT_ONCE = 16; // rows between two looks at the clock
const SEEN = "this is the training file, whose rows are predicted too well";

registerTab({ id: "rows", place: 2, title: "Many rows", make: makeTab });

function makeTab(app) {
  const result = el("div", { "aria-live": "polite" });
  const steps = sliced(14);
  const refuse = (name, lines) => result.replaceChildren(refusal(app, name, lines));
  const take = async (file) => {
    app.open("rows");
    steps.stop();
    result.replaceChildren(el("p", {}, `Reading ${file.name} …`));
    try {
      const { table, seen } = await readFile(app, file);
      const progress = el("progress", { max: table.rows.length, value: 0, "aria-label": "rows predicted" });
      result.replaceChildren(el("p", {}, `${file.name}: ${plural(table.rows.length, "row")} `, progress));
      const predictions = [];
      const begun = performance.now();
      steps(() => {
        for (let i = 0; i < AT_ONCE && predictions.length < table.rows.length; i++)
          predictions.push(app.model.predict(table.rows[predictions.length]));
        progress.value = predictions.length;
        if (predictions.length < table.rows.length) return true;
        const took = performance.now() - begun;
        show(app, result, { name: file.name, table, predictions, took, seen });
        return false;
      });
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      refuse(file.name, error.lines);
    }
  };
  const node = el("div", { className: "rows" }, ...dropZone(app, take), result);
  acceptDrops(take);
  return node;
}

function dropZone({ model }, take) {
  const input = el("input", {
    type: "file",
    id: "file",
    className: "sr",
    accept: ".csv,.tsv,.txt,.gz",
    onchange: () => {
      if (input.files[0]) take(input.files[0]);
      input.value = "";
    },
  });
  const needed = new Set(model.columns.map((column) => column.source)).size;
  const what = needed === 1 ? "column" : `${needed} columns`;
  const zone = el(
    "label",
    { className: "zone", htmlFor: "file" },
    el("b", {}, "Drop a CSV anywhere on this page, or choose one"),
    el(
      "span",
      {},
      `It needs the ${what} of the training table, in any order. It stays on this machine: the page’s own ` +
        "policy forbids every connection.",
    ),
  );
  return [input, zone];
}

function acceptDrops(take) {
  const isFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (isFile(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

// {table, seen} of a file; seen: whether it is the training file. Throws TableError.
async function readFile({ model, payload }, file) {
  refuseOtherwise(payload);
  if (file.size > MOST_BYTES) throw new TableError("more than 256 MiB are too much for a page");
  const raw = new Uint8Array(await file.arrayBuffer());
  const bytes = await unpack(raw, file.name);
  const begun = performance.now();
  const table = readTable(decode(bytes, payload.table.encoding), model);
  table.took = performance.now() - begun;
  return { table, seen: (await sha256(raw)) === payload.data_sha256 };
}

// Refuse what this page does not compute.
function refuseOtherwise({ series, dates }) {
  if (dates.length) throw new TableError("the model has features of dates, which this page does not compute");
  if (series !== null) throw new TableError("a series is forecast row after row, which this page does not do");
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null; // where a file is no secure place
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function refusal({ payload }, name, lines) {
  return el(
    "div",
    { className: "refused", role: "alert" },
    el("p", {}, el("b", {}, `${name} is refused`)),
    lines.map((line) => el("p", {}, line)),
    el("p", {}, "This command says what to do: ", el("code", {}, commandFor(payload, name))),
  );
}

function commandFor({ run }, name) {
  const word = (text) => (/^[\w.,/:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  return `ml2021 predict ${word(name)} --run ${word(run)}`;
}

function show(app, box, read) {
  const { table, predictions, name } = read;
  const { model } = app;
  const known = knownRows(model, table.truth);
  const source = {
    label: name,
    rows: table.rows,
    truth: table.truth,
    names: table.lines.map((line) => `line ${line} of ${name}`),
  };
  const options = { level: app.level, threshold: null, id: "", withInterval: true };
  const view = { app, read, known, source, options };
  const said = el("div");
  const rest = el("div");
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

const halfOf = ({ app, options }) => app.model.halfWidths(options.level);

function sentences(view) {
  const { app, read, known, options } = view;
  const notes = [...read.table.notes];
  if (options.threshold !== null)
    notes.push(
      `${echo(app.model.target.labels[1])} is predicted where its probability is at least ${options.threshold}`,
    );
  if (options.clash) notes.push(`not copied, as predictions have these names: ${listed(options.clash, 6)}`);
  if (read.seen) notes.push(SEEN);
  return [
    known.length ? el("p", {}, scoreText(view)) : null,
    notes.length ? el("ul", { className: "notes" }, notes.map((note) => el("li", {}, note))) : null,
  ].filter((node) => node !== null);
}

function scoreText(view) {
  const { app, read, known, options } = view;
  const half = halfOf(view);
  const scores = scoresOf(app.model, read.predictions, read.table.truth, known, {
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
  const id = choice({
    label: "with the column",
    options: [["", "(none)"], ...names.map((name, place) => [String(place), name])],
    value: "",
    onchange: (value) => (options.id = value),
  });
  id.input.id = "carried";
  id.node.firstChild.htmlFor = "carried";
  const parts = [
    el("button", { type: "button", className: "main", id: "download", onclick: () => save(view) }, "Save the predictions"),
    id.node,
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
    onchange: (value) => (options.withInterval = value),
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

function save(view) {
  const { app, read, options } = view;
  const place = Number(options.id);
  const carried =
    options.id === ""
      ? []
      : [{ name: read.table.header[place], cells: read.predictions.map((_, row) => read.table.cells(row, place)) }];
  const text = predictionsCsv(app.model, read.predictions, {
    half: options.withInterval ? halfOf(view) : null,
    carried,
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
  const { app, read, known, source } = view;
  const { model } = app;
  const half = halfOf(view);
  const found = [];
  if (known.length > 1 && !model.isClass && model.T === 1) {
    const every = Math.ceil(known.length / MOST_POINTS);
    const points = known
      .filter((_, i) => i % every === 0)
      .map((row) => ({ truth: read.table.truth[row][0], value: read.predictions[row].values[0], row }));
    const choose = app.canLook ? (row) => app.lookAt(source, row) : null;
    found.push(scatter({ points, half: half === null ? null : half[0], name: model.target.labels[0], choose }));
  }
  found.push(el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Predictions" }, listing(view, half)));
  if (read.predictions.length > MOST_SHOWN)
    found.push(el("p", { className: "note" }, `The first ${MOST_SHOWN} rows; the saved file has all ${count(read.predictions.length)}.`));
  return found;
}

function listing(view, half) {
  const { app, read, source, options } = view;
  const { model } = app;
  const { table, predictions } = read;
  const last = model.isClass ? "probability" : half === null ? null : "interval";
  const headings = ["row", model.target.label ?? model.target.name, last, table.truth === null ? null : "truth"];
  const name = (row) => {
    const text = `line ${table.lines[row]}`;
    if (!app.canLook) return text;
    return el("button", { type: "button", className: "link", onclick: () => app.lookAt(source, row) }, text);
  };
  const truth = (row) =>
    model.isClass ? model.target.labels[table.truth[row][0]] ?? "" : table.truth[row].map(number).join(", ");
  const sure = (row) => {
    const { values } = predictions[row];
    if (model.isClass) return percent(certainty(predictions[row], options.threshold));
    return Array.from(values, (v, t) => `${number(v - half[t])} to ${number(v + half[t])}`).join(", ");
  };
  const body = predictions.slice(0, MOST_SHOWN).map((prediction, row) =>
    el("tr", {}, [
      el("td", {}, name(row)),
      el("td", {}, answer(model, prediction, options.threshold, number)),
      last === null ? null : el("td", {}, sure(row)),
      table.truth === null ? null : el("td", {}, truth(row)),
    ]),
  );
  const head = headings.filter((text) => text !== null).map((text) => el("th", { scope: "col" }, text));
  return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
}
