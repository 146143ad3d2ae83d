// Rows like it: the nearest training rows, what was true of them, and where they differ.

import { el } from "./dom.js";
import { count } from "./text.js";
import { valueText } from "./whatif_card.js";
import { inkColour, inputImage, pixelPicture, pixelsOf } from "./whatif_picture.js";

export function nearPart(desk) {
  const { rows } = desk.neighbours;
  if (!rows.length) return null;
  const body = el("tbody");
  const note = el("p", { className: "note" });
  const image = inputImage(desk.payload);
  const heads = ["truth", "how far", image ? "the image" : "differs most in"];
  const table = el("table", {}, el("thead", {}, el("tr", {}, heads.map((text) => el("th", {}, text)))), body);
  const draw = ({ nearest, isFar }) => {
    body.replaceChildren(...nearest.map((near) => lineOf(desk, near, image)));
    note.textContent = isFar ? farText(desk, nearest[0]) : nearText(rows);
    note.classList.toggle("warn", isFar);
  };
  return { node: el("section", { className: "panel like" }, el("h2", {}, "Rows like it"), table, note), draw };
}

function lineOf(desk, { place, distance }, image) {
  const last = image ? thumbnail(desk, place, image) : differenceText(desk, place);
  const cells = [truthText(desk, place), distance.toFixed(2), last];
  return el("tr", {}, cells.map((text) => el("td", {}, text)));
}

function thumbnail({ neighbours: { rows } }, place, image) {
  const { node, draw } = pixelPicture(image, { "aria-label": "this training row, as an image" });
  draw(pixelsOf(image, rows[place]).map((value) => inkColour(image, value)));
  return node;
}

function truthText(desk, place) {
  const { model, hand, payload } = desk;
  const truth = payload.background.truth[place][model.isClass ? 0 : hand.output];
  return model.isClass ? model.target.labels[truth] ?? "–" : truth === null ? "–" : desk.text(truth);
}

function differenceText({ model, hand, neighbours }, place) {
  const found = neighbours.differences(place, hand.values);
  const texts = found.map(({ j }) => {
    const column = model.columns[j];
    return `${column.name} ${valueText(column, neighbours.rows[place][j])}`;
  });
  return texts.join(", ") || "nothing";
}

function nearText(rows) {
  return `The nearest of ${count(rows.length)} training rows; how far: ` +
    "root mean square over the inputs, in deviations.";
}

function farText({ neighbours: { usual } }, { distance }) {
  return (
    `Nothing here is like this row: the nearest training row is ${distance.toFixed(2)} away, and each of those ` +
    `has another within ${usual.toFixed(2)}. The interval promises nothing here.`
  );
}
