// A function of two numbers as bands of colour.

import { cividis, clamp } from "./scales.js";

const BANDS = 20;

// A grid of n × n values as bands of colour, smoothed between its places; share(value): from 0 to 1.
// A drag paints it in each of its frames: a pixel is one number, and nothing is made for it.
export function paintBands(canvas, grid, n, share) {
  const { width, height } = canvas, context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const colours = Uint32Array.from({ length: BANDS + 1 }, (_, i) => pixelOf(cividis(i / BANDS)));
  const columns = placesOf(width, n), row = new Float64Array(n);
  for (let py = 0, at = 0; py < height; py++) {
    const v = py / Math.max(1, height - 1) * (n - 1), o = Math.min(n - 2, Math.floor(v)), down = v - o;
    for (let c = 0; c < n; c++) {
      const upper = grid[o * n + c];
      row[c] = upper + down * (grid[o * n + n + c] - upper);
    }
    for (let px = 0; px < width; px++, at++) {
      const c = columns.left[px], value = row[c] + columns.right[px] * (row[c + 1] - row[c]);
      pixels[at] = colours[Math.round(clamp(share(value), 0, 1) * BANDS)];
    }
  }
  context.putImageData(image, 0, 0);
}

// For each pixel the grid's place to its left, and how far it is to the right of it.
function placesOf(width, n) {
  const left = new Uint16Array(width), right = new Float64Array(width);
  for (let px = 0; px < width; px++) {
    const u = px / Math.max(1, width - 1) * (n - 1);
    left[px] = Math.min(n - 2, Math.floor(u));
    right[px] = u - left[px];
  }
  return { left, right };
}

// Red, green, blue and no transparency in the bytes of one number, in the order of this machine.
function pixelOf(colour) {
  const bytes = Uint8Array.of(...colour.map(Math.round), 255);
  return new Uint32Array(bytes.buffer)[0];
}
