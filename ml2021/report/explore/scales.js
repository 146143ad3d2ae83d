// Scales of axes, their ticks, and the colours of the page.

export function clamp(value, low, high) {
  return value < low ? low : value > high ? high : value;
}

// From [d0, d1] to [r0, r1]; `invert` is the way back.
export function linear(d0, d1, r0, r1) {
  const scale = (value) => r0 + ((value - d0) / (d1 - d0 || 1)) * (r1 - r0);
  scale.invert = (place) => d0 + ((place - r0) / (r1 - r0 || 1)) * (d1 - d0);
  return scale;
}

// Round numbers from low to high, about `count` of them: at most a third more.
export function ticks(low, high, count) {
  const raw = (high - low) / count;
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.75);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

// Where the marks of a vertical axis stand: left of it, or inside where they are long; [x, anchor].
export function besideAxis(texts, left) {
  return texts.some((text) => text.length > 7) ? [left + 4, "start"] : [left - 5, "end"];
}

export const COLOUR = {
  ink: "#1d1d1f",
  soft: "#5f6368",
  line: "#e3e3e6",
  blue: "#0072b2",
  orange: "#b84600",
  green: "#00755a",
  up: "#b35806",
  down: "#542788",
  bars: "#d9dbe0",
};

const CIVIDIS = [
  ...["#00224e", "#123570", "#3b496c", "#575d6d", "#707173"],
  ...["#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));

// [red, green, blue] of a share from 0 (dark) to 1 (light).
export function cividis(share) {
  const place = clamp(share, 0, 1) * (CIVIDIS.length - 1);
  const below = Math.min(CIVIDIS.length - 2, Math.floor(place));
  const [from, to] = [CIVIDIS[below], CIVIDIS[below + 1]];
  return from.map((value, k) => value + (place - below) * (to[k] - value));
}
