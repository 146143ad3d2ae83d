// Rows and outputs that are images: which value is which pixel, and how it is drawn.

import { el } from "./dom.js";
import { clamp } from "./scales.js";

// An image of the columns: {height, width, low, high, columns: of each pixel its column's place, or
// −1 for a pixel without an input, whose value is then in `blank`}. Null where they are none.
export function inputImage({ image, blank, columns }) {
  if (!image) return null;
  const [height, width] = image, values = new Map(blank);
  let next = 0;
  const places = Array.from({ length: height * width }, (_, pixel) => values.has(pixel) ? -1 : next++);
  const low = Math.min(...columns.map((column) => column.low), ...values.values());
  const high = Math.max(...columns.map((column) => column.high), ...values.values());
  return { height, width, low, high, columns: places, blank: values };
}

// The pixels of a row.
export function pixelsOf({ columns, blank }, values) {
  return columns.map((j, pixel) => j < 0 ? blank.get(pixel) : values[j]);
}

// An image of the outputs, null where they are none.
export function outputImage({ target }) {
  if (target.kind === "classes" || target.shape?.length !== 2) return null;
  const [height, width] = target.shape;
  return { height, width, low: Math.min(...target.low), high: Math.max(...target.high) };
}

// A canvas with a dot a pixel, which the style enlarges; {node, draw(colours)}: one [red, green,
// blue] a pixel.
export function pixelPicture({ height, width }, attributes) {
  const node = el("canvas", { width, height, className: "pixels", role: "img", ...attributes });
  const context = node.getContext("2d"), image = context.createImageData(width, height);
  const draw = (colours) => {
    colours.forEach(([red, green, blue], pixel) => image.data.set([red, green, blue, 255], 4 * pixel));
    context.putImageData(image, 0, 0);
  };
  return { node, draw };
}

// Ink on paper: the greatest value is dark.
export function inkColour({ low, high }, value) {
  const grey = Math.round(255 - 230 * clamp((value - low) / (high - low || 1), 0, 1));
  return [grey, grey, grey];
}

// Orange for what raised the prediction, violet for what lowered it.
export function signColour(share, greatest) {
  const part = clamp(Math.abs(share) / greatest, 0, 1), to = share > 0 ? [179, 88, 6] : [84, 39, 136];
  return to.map((channel) => Math.round(247 + (channel - 247) * part));
}
