// The tab What if: one row in hand, and what the function makes of it.

import { el } from "./dom.js";
import { registerTab } from "./frame.js";
import { addressOf, rowOf } from "./whatif_address.js";
import { cardsPart } from "./whatif_cards.js";
import { Desk } from "./whatif_desk.js";
import { imagePart } from "./whatif_image.js";
import { mapPart } from "./whatif_map.js";
import { movedPart } from "./whatif_moved.js";
import { nearPart } from "./whatif_near.js";
import { outputsPart } from "./whatif_outputs.js";
import { readingPart } from "./whatif_reading.js";
import { rowBarPart } from "./whatif_rowbar.js";
import { seriesPart } from "./whatif_series.js";
import { timelinePart } from "./whatif_timeline.js";

registerTab({ id: "what-if", place: 1, title: "What if", make: whatIf });

function whatIf(app) {
  const desk = new Desk(app);
  app.desk = desk; // for whoever looks in from outside, such as a console
  const quick = (part) => begin(desk.quick, part);
  const slow = (part) => begin(desk.slow, part);
  // In this order the parts also draw: what is in sight first.
  const reading = el("div", { className: "sticky" }, quick(readingPart(desk)));
  const rowBar = quick(rowBarPart(desk));
  const outputs = quick(outputsPart(desk));
  const image = imagePart(desk);
  const series = seriesPart(desk);
  const line = quick(series);
  const pictures = quick(image);
  const moved = slow(movedPart(desk, (shares) => [series, image].forEach((part) => part?.shares(shares))));
  const map = image?.isPainted ? null : quick(mapPart(desk));
  const cards = image?.isPainted ? null : quick(cardsPart(desk, placesOfCards(app.model)));
  const node = el("div", { className: "whatif" }, reading, rowBar, outputs, line,
    pictures && el("div", { className: "two picture" }, pictures, image.isPainted ? moved : cards),
    image ? null : cards,
    quick(timelinePart(desk)),
    image?.isPainted ? null : el("div", { className: map ? "two" : "" }, moved, map),
    quick(nearPart(desk)));
  desk.slow.push({ draw: () => app.tab === "what-if" && app.setAddress(addressOf(desk)) });
  app.on("row", ({ source, index }) => {
    if (desk.hand.source !== source) desk.hand.use(source);
    desk.take(index);
  });
  desk.take(...rowOf(desk, app.address));
  return node;
}

// A part that this run has none of is null.
function begin(parts, part) {
  if (part === null) return null;
  parts.push(part);
  return part.node;
}

// The previous values of a series are one line, and no cards.
function placesOfCards({ columns }) {
  return [...columns.keys()].filter((j) => !columns[j].lag);
}
