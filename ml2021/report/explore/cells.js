// What counts as a number and as missing in a cell, as `ml2021.data.csv.cells` has it.

const SPACE = "[ \\t\\n\\r\\f\\v]*";
const GROUP_MARKS = { ".": "\\.", ",": ",", "'": "['’]", " ": "[ \\u00a0\\u202f]", _: "_" };
const INTEGERS_END = 2 ** 53;
const LARGEST = 2 ** 128 - 2 ** 103; // the smallest that float32 rounds to infinity

// {isNumber, toNumber, isMissing, fits} of texts. Large integers are compared exactly.
export function cellRules({ decimal, missing, thousands }) {
  const mark = decimal === "." ? "\\." : ",";
  const group = thousands === null ? null : GROUP_MARKS[thousands] ?? `\\${thousands}`;
  const whole = group === null ? "[0-9]+" : `(?:[1-9][0-9]{0,2}(?:${group}[0-9]{3})+|[0-9]+)`;
  const pattern = new RegExp(
    `^${SPACE}[+-]?(?:${whole}(?:${mark}[0-9]*)?|${mark}[0-9]+)(?:[eE][+-]?[0-9]+)?${SPACE}$`,
  );
  const marks = group === null ? null : new RegExp(group, "g");
  const isNumber = (text) => pattern.test(text);
  const unmarked = (text) => (marks === null ? text : text.trim().replace(marks, ""));
  const toNumber = (text) => Number(decimal === "." ? unmarked(text) : unmarked(text).replace(",", "."));
  const exact = (text) => exactly(toNumber(text), unmarked(text).trim());
  const texts = new Set();
  const numbers = new Set();
  for (const each of missing) {
    if (typeof each === "number") numbers.add(exactly(each, String(each)));
    else if (isNumber(each)) numbers.add(exact(each));
    else texts.add(each);
  }
  const isMissing = (text) => texts.has(text) || (numbers.size > 0 && isNumber(text) && numbers.has(exact(text)));
  return { isNumber, toNumber, exact, isMissing, fits: (value) => Math.abs(value) < LARGEST };
}

// A number, or beyond 2^53 the integer as text, which float64 may have rounded.
export function exactly(value, text) {
  if (!(Math.abs(value) >= INTEGERS_END) || !Number.isFinite(value)) return value;
  return /^[+-]?[0-9]+$/.test(text) ? String(BigInt(text.replace("+", ""))) : String(BigInt(value));
}
