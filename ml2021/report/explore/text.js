// Numbers and names as text: for the page, for its notes, and for the CSV that it saves.

// C's %.<digits>g, which toPrecision is not: other exponents, and zeros at the end.
export function formatG(value, digits) {
  if (Number.isNaN(value)) return "";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= digits) {
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${withoutZeros(mantissa)}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  return withoutZeros(value.toFixed(Math.max(0, digits - 1 - exponent)));
}

function withoutZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

// The digits that keep a restored value: nine, or more where the mean is large beside the scale.
export function digitsOf(mean, scale) {
  const alike = Math.log10(Math.max(1, Math.abs(mean) / scale));
  return Math.min(17, Math.max(9, Math.ceil(7.5 + alike)));
}

// toLocaleString would look its locale up each time, which a drag has no time for.
const grouped = Array.from({ length: 8 }, (_, digits) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const inEnglish = new Intl.NumberFormat("en-US");

// Four significant digits, as the report writes them; and of a value beside a scale those that say
// something of that scale, too.
export function number(value, scale = Infinity) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(3).split("e")[1]);
  if (exponent < -4 || exponent >= 7) return minus(value.toExponential(3));
  const digits = Math.min(7, Math.max(0, 3 - exponent, 1 - Math.floor(Math.log10(scale))));
  return minus(grouped[digits].format(value));
}

// 0 for what is one but for rounding, or for the last steps that were not taken.
export function nought(value, least) {
  return Math.abs(value) < least ? 0 : value;
}

// As few digits as an axis needs.
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return minus(value.toExponential(1));
  return minus(inEnglish.format(Number(value.toPrecision(4))));
}

// The marks of an axis, which differ where their neighbours do: 1,000,002 and not 1.0e+6 again.
export function shorts(values) {
  const step = values.length > 1 ? values[1] - values[0] : Infinity;
  const isFine = Math.max(...values.map(Math.abs)) >= 1000 * step;
  const digits = Math.min(7, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  return values.map((value) => (isFine ? minus(grouped[digits].format(value)) : short(value)));
}

// Of an exponent, too.
function minus(text) {
  return text.replaceAll("-", "−");
}

// A number as it is typed: six digits, without marks; empty if it is missing.
export function plain(value) {
  return Number.isNaN(value) ? "" : String(Number(value.toPrecision(6)));
}

export function count(value) {
  return inEnglish.format(value);
}

export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

const LONGEST = 80;

// A name of the user's for a sentence, as ml2021's messages repeat it: escaped, and not too long.
export function echo(text) {
  const shown = String(text).replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, escaped);
  const letters = [...shown];
  return letters.length <= LONGEST ? shown : `${letters.slice(0, LONGEST - 1).join("")}…`;
}

function escaped(letter) {
  const named = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[letter];
  if (named) return named;
  const code = letter.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

// A name for a list: quoted where its ends would not be seen.
export function visible(name) {
  const shown = echo(name);
  return shown !== shown.trim() || shown === "" ? `'${shown}'` : shown;
}

// "a, b and 3 more"
export function listed(names, most) {
  const shown = names.slice(0, most).map(visible).join(", ");
  return names.length <= most ? shown : `${shown} and ${count(names.length - most)} more`;
}

export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
