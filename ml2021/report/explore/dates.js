// Columns of dates, and their parts as numbers, as `ml2021.data.dates` reads them.
//
// Moments are seconds since 1970 as the clock shows them, NaN where there is none.

import { TableError } from "./csv.js";
import { echo } from "./text.js";

const DAY = 86400;
const FIELDS =
  /^([0-9]{1,4})([-/.])([0-9]{1,2})\2([0-9]{1,4})(?:[ T]([0-9]{1,2})[:.]([0-9]{2})(?:[:.]([0-9]{2})(?:[.,][0-9]+)?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?)?$/;
const ORDER = { "year first": [1, 3, 4], "day first": [4, 3, 1], "month first": [4, 1, 3] };

function momentOf(text, form) {
  const found = FIELDS.exec(text);
  if (found === null) return NaN;
  const [year, month, day] = ORDER[form].map((place) => Number(found[place]));
  const [hour, minute, second] = [5, 6, 7].map((place) => Number(found[place] ?? 0));
  const exists = found[ORDER[form][0]].length === 4 && year >= 1 && hour < 24 && minute < 60 && second < 60;
  return exists ? dayOf(year, month, day) * DAY + hour * 3600 + minute * 60 + second : NaN;
}

// Days since 1970, NaN where there is no such day.
function dayOf(year, month, day) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return exists ? date.getTime() / 1000 / DAY : NaN;
}

// The values (N) of each part of a column of dates by its name; NaN where a date is missing.
// cells: texts, null if missing; date: of the payload's dates. Throws TableError for other texts.
export function partsOf(date, cells) {
  const moments = cells.map((cell) => (cell === null ? NaN : momentOf(cell, date.form)));
  const odd = moments.findIndex((moment, row) => Number.isNaN(moment) && cells[row] !== null);
  if (odd >= 0)
    throw new TableError(
      `column '${echo(date.name)}': '${echo(cells[odd])}' is not a date with the ${date.form}, as in training`,
    );
  return new Map(date.parts.map((part) => [part, Float64Array.from(moments, (m) => partOf(m, part, date.origin))]));
}

function partOf(moment, part, origin) {
  if (Number.isNaN(moment)) return NaN;
  const date = new Date(moment * 1000);
  const days = Math.floor(moment / DAY);
  const parts = {
    year: () => date.getUTCFullYear(),
    month: () => date.getUTCMonth() + 1,
    day: () => date.getUTCDate(),
    weekday: () => ((((days + 3) % 7) + 7) % 7) + 1, // 1970 began on a Thursday
    hour: () => date.getUTCHours(),
    elapsed: () => (moment - origin / 1e6) / DAY, // days since the first training row
  };
  return parts[part]();
}

const CLOCK = "[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?";
const ISO = new RegExp(`^([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})(?:[ T](${CLOCK}))?$`);

// An ISO date, or date and time, as a number to sort by; a time with an offset is taken to UTC.
export function isoMoment(text) {
  const found = ISO.exec(text);
  if (found === null || found[1] === "0000") return NaN;
  const day = dayOf(Number(found[1]), Number(found[2]), Number(found[3]));
  const time = found[4] ?? "00:00";
  const [, hour, minute, second, sign, hours, minutes] =
    /^(\d\d):(\d\d)(?::(\d\d(?:[.,]\d+)?))?(?:Z|([+-])(\d\d):?(\d\d))?$/.exec(time);
  const seconds = Number((second ?? "0").replace(",", "."));
  if (Number(hour) > 23 || Number(minute) > 59 || seconds >= 60) return NaN;
  const offset = sign === undefined ? 0 : (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
  return day * DAY + Number(hour) * 3600 + Number(minute) * 60 + seconds - offset;
}
