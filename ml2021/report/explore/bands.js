// A function of two numbers as bands of colour.

import { cividis, clamp } from "./scales.js";

const BANDS = 20;

// A grid of n × n values as bands of colour, smoothed between its places.
export function paintBands(canvas, grid, n, share) {
  const { width, height } = canvas, context = canvas.getContext("2d");
  const image = context.createImageData(width, height), { data } = image;
  const table = Array.from({ length: BANDS + 1 }, (_, i) => cividis(i / BANDS).map(Math.round));
  for (let py = 0, at = 0; py < height; py++) {
    const v = py / (height - 1) * (n - 1), r = Math.min(n - 2, Math.floor(v)), down = v - r;
    for (let px = 0; px < width; px++, at += 4) {
      const u = px / (width - 1) * (n - 1), c = Math.min(n - 2, Math.floor(u)), right = u - c, o = r * n + c;
      const upper = grid[o] + right * (grid[o + 1] - grid[o]);
      const lower = grid[o + n] + right * (grid[o + n + 1] - grid[o + n]);
      const [red, green, blue] = table[Math.round(clamp(share(upper + down * (lower - upper)), 0, 1) * BANDS)];
      data[at] = red;
      data[at + 1] = green;
      data[at + 2] = blue;
      data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
