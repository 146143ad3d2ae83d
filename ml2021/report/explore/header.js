// The columns of a file, and which of them are those of the training file: by name, or by position
// where one of the two has no header. As `ml2021.data.matching` has it.

import { at, TableError } from "./csv.js";
import { count, echo, listed, plural } from "./text.js";

const MOST_ABSENT = 5;

// {raw, names}: in the composed form of Unicode; repeated names become name.0, name.1, ...
export function readHeader(records, table, rules) {
  if (!records.length) throw new TableError("the file is empty; give a file with a table");
  const { fields, line } = records[0];
  if (!table.header) {
    const names = fields.map((_, place) => String(place));
    return { raw: names, names, numbered: true };
  }
  const areNumbers = fields.filter(rules.isNumber);
  const isData = areNumbers.length && fields.every((cell) => rules.isNumber(cell) || rules.isMissing(cell));
  const filled = fields.filter((cell) => cell !== "");
  const areIndices = filled.length === areNumbers.length && filled.every((cell, i) => cell === String(i));
  if (isData && !areIndices) throw at(line, "numbers instead of column names; add a header");
  const nameless = fields.indexOf("");
  if (nameless >= 0) throw at(line, `column ${nameless + 1} has no name; give it one`);
  if (records.length < 2) throw new TableError("a header but no rows; add rows");
  const raw = fields.map((name) => name.normalize("NFC"));
  return { raw, names: uniqueNames(raw), numbered: false };
}

function uniqueNames(raw) {
  const counts = new Map();
  for (const name of raw) counts.set(name, (counts.get(name) ?? 0) + 1);
  const taken = new Set(raw);
  const following = new Map();
  return raw.map((name) => {
    let unique = name;
    while (counts.get(name) > 1 && taken.has(unique)) {
      const next = following.get(name) ?? 0;
      unique = `${name}.${next}`;
      following.set(name, next + 1);
    }
    taken.add(unique);
    return unique;
  });
}

// The place in the file of each column of the training file that it has.
export function matchColumns(header, table, targetNames) {
  const found = {};
  const { raw } = header;
  if (!header.numbered && !table.numbered) {
    const seen = new Map();
    const places = new Map();
    raw.forEach((name, place) => {
      const occurrence = seen.get(name) ?? 0;
      seen.set(name, occurrence + 1);
      places.set(`${occurrence}\0${name}`, place);
    });
    for (const [name, source] of Object.entries(table.sources)) {
      const place = places.get(`${source.occurrence}\0${source.raw}`);
      if (place !== undefined) found[name] = place;
    }
    return found;
  }
  const targets = new Set(targetNames.map((name) => table.sources[name].position));
  const given = Array.from({ length: table.width }, (_, i) => i).filter(
    (i) => raw.length === table.width || !targets.has(i),
  );
  if (given.length !== raw.length)
    throw new TableError(
      `${plural(raw.length, "column")}, but the training file has ${count(table.width)}; without a header the ` +
        "position counts, so give all of them, or all but the target",
    );
  const places = new Map(given.map((position, place) => [position, place]));
  for (const [name, source] of Object.entries(table.sources))
    if (places.has(source.position)) found[name] = places.get(source.position);
  return found;
}

export function neededColumns(model) {
  const { series } = model.payload;
  const own = model.columns.map((column) => column.source);
  const ordering = series === null ? [] : [series.name, series.order_by, series.group_by];
  return [...new Set([...own, ...ordering].filter((name) => name !== null))];
}

export function refuseAbsent(places, needed, header, table) {
  const absent = needed.filter((name) => !(name in places));
  if (absent.length > MOST_ABSENT)
    throw new TableError(
      `${absent.length} of the ${needed.length} columns that the model needs are missing: ` +
        `${listed(absent, MOST_ABSENT)}; check that this is the right run`,
    );
  if (absent.length)
    throw new TableError(
      ...absent.map((name) => {
        const { raw } = table.sources[name];
        const times = header.raw.filter((each) => each === raw).length;
        const only = times ? `; '${echo(raw)}' occurs only ${plural(times, "time")}` : "";
        return `column '${echo(name)}' is missing${only}`;
      }),
    );
}

export function usedPlaces(places, table) {
  const leftOut = new Set(table.left_out);
  return new Set(Object.entries(places).filter(([name]) => !leftOut.has(name)).map(([, place]) => place));
}
