// A row that is an image is painted on, instead of cards. Where the outputs are an image, too, it is
// drawn live beside it, and as one with it where they are two halves of one.

import { el } from "./dom.js";
import { draggable } from "./gestures.js";
import { clamp } from "./scales.js";
import { short } from "./text.js";
import { inkColour, inputImage, outputImage, pixelPicture, pixelsOf, signColour } from "./whatif_picture.js";

const HALO = 0.4; // of the brush's ink beside it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// {node, draw, shares}: shares(Map) paints what each pixel did. Null where no image is involved.
export function imagePart(desk) {
  const given = inputImage(desk.payload), made = outputImage(desk.model);
  if (!given && !made) return null;
  const easel = given ? new Easel(desk, given) : null, result = made ? outputs(desk, made) : null;
  const did = given ? effects(given) : null;
  const pair = [easel?.node, result?.node].filter(Boolean);
  if (desk.payload.halves === "below") pair.reverse();
  const joined = desk.payload.halves ? " joined" : "";
  const node = el("div", { className: "easel" },
    el("div", { className: `pair${joined}` }, pair),
    easel?.tools, result?.note, did?.node);
  const draw = (frame) => {
    easel?.draw();
    result?.draw(frame);
  };
  return { node, draw, shares: did?.draw ?? (() => {}), isPainted: given !== null };
}

// The image that is painted on, by pointer or by keys.
class Easel {
  constructor(desk, image) {
    Object.assign(this, { desk, image, brush: image.high, cursor: [image.width >> 1, image.height >> 1] });
    this.picture = pixelPicture(image, { "aria-hidden": "true" });
    this.mark = el("span", { className: "cursor" });
    this.node = el("div", {
      className: "paint", tabIndex: 0, role: "group",
      "aria-label": "the image; the arrow keys move over it, space paints or erases",
      onkeydown: (event) => this.#key(event),
    }, this.picture.node, this.mark);
    this.said = el("span", { className: "sr", "aria-live": "polite" });
    const empty = el("button", { type: "button", className: "quiet", onclick: () => this.#empty() }, "empty it");
    this.tools = el("p", { className: "note" }, "Paint on it; beginning on a dark place erases. ", empty, this.said);
    draggable(this.node, {
      axis: "xy",
      begin: (px, py) => this.#begin(this.#at(px, py)),
      move: (px, py) => this.#paint(...this.#at(px, py)),
    });
  }

  #at(px, py) {
    const { clientWidth } = this.node, scale = this.image.width / clientWidth;
    return [Math.floor(px * scale), Math.floor(py * scale)];
  }

  #column(u, v) {
    const { width, height, columns } = this.image;
    return u < 0 || v < 0 || u >= width || v >= height ? -1 : columns[v * width + u];
  }

  // A stroke that begins on ink erases.
  #begin([u, v]) {
    const { low, high } = this.image, j = this.#column(u, v);
    this.brush = j >= 0 && this.desk.hand.values[j] > (low + high) / 2 ? low : high;
  }

  #paint(u, v) {
    const { low, high } = this.image, { values } = this.desk.hand, changes = [];
    const j = this.#column(u, v), halo = low + HALO * (high - low);
    if (j >= 0) changes.push([j, this.brush]);
    if (this.brush === high) {
      for (const [right, down] of Object.values(ARROWS)) {
        const beside = this.#column(u + right, v + down);
        if (beside >= 0) changes.push([beside, Math.max(values[beside], halo)]);
      }
    }
    this.desk.change(...changes);
  }

  #empty() {
    const { columns, low } = this.image;
    this.desk.change(...columns.filter((j) => j >= 0).map((j) => [j, low]));
  }

  #key(event) {
    const way = ARROWS[event.key], { width, height } = this.image;
    if (way) {
      const [u, v] = this.cursor;
      this.cursor = [clamp(u + way[0], 0, width - 1), clamp(v + way[1], 0, height - 1)];
    } else if (event.key === " ") {
      this.#begin(this.cursor);
      this.#paint(...this.cursor);
    } else return;
    event.preventDefault();
    this.#tell();
  }

  #tell() {
    const [u, v] = this.cursor, { width, height } = this.image, j = this.#column(u, v);
    Object.assign(this.mark.style, {
      left: `${100 * u / width}%`, top: `${100 * v / height}%`, width: `${100 / width}%`, height: `${100 / height}%`,
    });
    const { columns } = this.desk.model;
    this.said.textContent = j < 0 ? "a pixel that is always the same"
      : `${columns[j].name}: ${short(this.desk.hand.values[j])}`;
  }

  draw() {
    const { image, desk } = this;
    this.picture.draw(pixelsOf(image, desk.hand.values).map((value) => inkColour(image, value)));
  }
}

// What is predicted, as an image; a tap on a pixel chooses it for the curves and the shares.
function outputs(desk, image) {
  const drawn = pixelPicture(image, { "aria-label": "what is predicted, as an image" });
  const mark = el("span", { className: "cursor on" });
  const node = el("div", { className: "made" }, drawn.node, mark);
  node.addEventListener("click", ({ offsetX, offsetY }) => {
    const scale = image.width / node.clientWidth;
    const [u, v] = [offsetX, offsetY].map((at) => Math.floor(at * scale));
    desk.look(clamp(v * image.width + u, 0, image.width * image.height - 1));
  });
  const truth = pixelPicture(image, { "aria-label": "the truth, as an image" });
  const beside = el("span", { className: "truthimage" }, truth.node, "◆ the truth");
  const note = el("p", { className: "note" }, "What is predicted is drawn as you paint. ", beside);
  const draw = ({ values }) => {
    drawn.draw(Array.from(values, (value) => inkColour(image, value)));
    const { output } = desk.hand, known = desk.hand.truth;
    Object.assign(mark.style, {
      left: `${100 * (output % image.width) / image.width}%`,
      top: `${100 * Math.floor(output / image.width) / image.height}%`,
      width: `${100 / image.width}%`, height: `${100 / image.height}%`,
    });
    beside.hidden = known === null;
    if (known) truth.draw(known.map((value) => inkColour(image, value)));
  };
  return { node, note, draw };
}

function effects(image) {
  const drawn = pixelPicture(image, { "aria-label": "what each pixel did to the prediction" });
  const node = el("div", { className: "effects" }, drawn.node,
    el("p", { className: "note" }, "What each pixel did: orange for, violet against."));
  const draw = (shares) => {
    const found = image.columns.map((j) => shares.get(j) ?? 0), greatest = Math.max(1e-12, ...found.map(Math.abs));
    drawn.draw(found.map((share) => signColour(share, greatest)));
  };
  return { node, draw };
}
