// The tab "Many rows": a table dropped on the page, read as strictly as ml2021 reads it, predicted
// here and saved as `ml2021 predict` writes it.

import { decode, TableError, unpack } from "./csv.js";
import { el } from "./dom.js";
import { predictorOf } from "./forecast.js";
import { registerTab } from "./frame.js";
import { sliced } from "./gestures.js";
import { neededColumns } from "./header.js";
import { showResult } from "./rows_result.js";
import { readTable } from "./table.js";
import { plural } from "./text.js";

const MOST_BYTES = 2 ** 28;
const AT_ONCE = 16; // rows between two looks at the clock

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
      const predictor = predictorOf(app.model, table);
      const progress = el("progress", { max: predictor.total, value: 0, "aria-label": "rows predicted" });
      result.replaceChildren(el("p", {}, `${file.name}: ${plural(predictor.total, "row")} `, progress));
      const begun = performance.now();
      steps(() => {
        let more = true;
        for (let i = 0; i < AT_ONCE && more; i++) more = predictor.step();
        progress.value = predictor.done;
        if (more) return true;
        const took = performance.now() - begun;
        showResult(app, result, { name: file.name, table, predictor, took, seen });
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
  const needed = neededColumns(model).length;
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
  if (file.size > MOST_BYTES) throw new TableError("more than 256 MiB are too much for a page");
  const raw = new Uint8Array(await file.arrayBuffer());
  const bytes = await unpack(raw, file.name);
  const begun = performance.now();
  const table = readTable(decode(bytes, payload.table.encoding), model);
  table.took = performance.now() - begun;
  return { table, seen: (await sha256(raw)) === payload.data_sha256 };
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
