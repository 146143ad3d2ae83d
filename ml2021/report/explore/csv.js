// The strict CSV reader: bytes to text, text to records, as `ml2021.data.csv` does, so that the page
// accepts and refuses the same files, on the same line. Its messages are shorter; `ml2021 predict`
// explains each in full.
//
// A quote is special only at the start of a field, and doubled inside a quoted one. A record is
// {line, fields, blank, quoted}: quoted says whether its first field is. Line ends: \r\n, \n, \r.

import { count, plural } from "./text.js";

export class TableError extends Error {
  // lines: of the message, as "line 5: what is wrong".
  constructor(...lines) {
    super(lines.join("\n"));
    this.lines = lines;
  }
}

// A field that is open at the end of the file: only reading the records before it would meet it.
export class OpenQuote extends TableError {}

export const at = (line, what) => new TableError(`line ${line}: ${what}`);

// What files that are no text begin with.
const NOT_TEXT = [
  [[0xd0, 0xcf, 0x11, 0xe0], "this is a spreadsheet; save it as CSV"],
  [[0x50, 0x4b, 0x03, 0x04], "this is a spreadsheet or a zip archive; save the table as CSV"],
  [[0x50, 0x41, 0x52, 0x31], "this is a Parquet file"],
  [[0x42, 0x5a, 0x68], "this is a bzip2 file; decompress it or use gzip"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "this is an xz file; decompress it or use gzip"],
  [[0x28, 0xb5, 0x2f, 0xfd], "this is a Zstandard file; decompress it or use gzip"],
  [[0x25, 0x50, 0x44, 0x46, 0x2d], "this is a PDF; save its table as CSV"],
];
const GZIP = [0x1f, 0x8b];

const begins = (bytes, signature) => signature.every((byte, i) => bytes[i] === byte);

// The bytes of a file, unpacked if they are packed by gzip.
export async function unpack(bytes, name) {
  if (!begins(bytes, GZIP)) {
    if (name.endsWith(".gz")) throw new TableError("not a gzip file despite its name");
    return bytes;
  }
  const packed = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(packed).arrayBuffer());
  } catch {
    throw new TableError("damaged gzip file; get a new copy");
  }
}

// The text of a file in its encoding, without a byte order mark.
export function decode(bytes, encoding) {
  const found = NOT_TEXT.find(([signature]) => begins(bytes, signature));
  if (found) throw new TableError(found[1]);
  const text = decoded(bytes, encoding.toLowerCase().replaceAll("_", "-"));
  const nul = text.indexOf("\0");
  if (nul >= 0) throw at(1 + countLines(text.slice(0, nul)), "NUL character, or text in UTF-16");
  return text;
}

const LABELS = { "utf8": "utf-8", "utf-8-sig": "utf-8", "cp1252": "windows-1252", "utf-16": "utf-16le" };
const LATIN_1 = new Set(["latin-1", "latin1", "iso-8859-1", "iso8859-1"]);

function decoded(bytes, encoding) {
  if (LATIN_1.has(encoding)) return latin1(bytes); // a browser's latin1 is windows-1252
  let label = LABELS[encoding] ?? encoding;
  if (encoding === "utf-16" && begins(bytes, [0xfe, 0xff])) label = "utf-16be";
  let decoder;
  try {
    decoder = new TextDecoder(label, { fatal: true });
  } catch {
    throw new TableError(`this page cannot read the encoding ${encoding}`);
  }
  try {
    return decoder.decode(bytes);
  } catch {
    throw at(lineOfFault(bytes, label), `not ${encoding}`);
  }
}

function latin1(bytes) {
  const parts = [];
  for (let i = 0; i < bytes.length; i += 8192)
    parts.push(String.fromCharCode(...bytes.subarray(i, i + 8192)));
  return parts.join("");
}

// The line of the first bytes that cannot be decoded; of encodings in which \n is one byte.
function lineOfFault(bytes, label) {
  const strict = new TextDecoder(label, { fatal: true });
  const loose = new TextDecoder(label);
  let start = 0;
  let line = 1;
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start);
    const piece = bytes.subarray(start, end < 0 ? bytes.length : end + 1);
    const text = loose.decode(piece);
    try {
      strict.decode(piece);
    } catch {
      return line + countLines(text.slice(0, text.indexOf("\ufffd")));
    }
    line += countLines(text);
    start += piece.length;
  }
  return line;
}

export function countLines(text) {
  let lines = 0;
  for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) lines++;
  for (let i = text.indexOf("\r"); i >= 0; i = text.indexOf("\r", i + 1)) if (text[i + 1] !== "\n") lines++;
  return lines;
}

// Empty the lines to skip but keep their ends, so that others keep their numbers.
export function withoutLines(text, skip) {
  const numbers = Array.isArray(skip) ? skip : Array.from({ length: skip }, (_, i) => i + 1);
  if (!numbers.length) return text;
  const parts = text.split(/(\r\n?|\n)/);
  const lines = Math.ceil(parts.length / 2) - (parts.at(-1) === "" ? 1 : 0);
  const last = Math.max(...numbers);
  if (lines < last) throw new TableError(`data.skip_rows: there is no line ${last}, the file has ${lines}`);
  for (const number of numbers) parts[2 * number - 2] = "";
  return parts.join("");
}

const MOST_FIELDS = 100_000;

// Yield the records and blank lines of a text.
export function* split(text, separator) {
  const whole = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  const mark = separator.charCodeAt(0);
  let place = 0;
  let line = 1;
  while (place < whole.length) {
    const begun = place;
    const first = line;
    const quoted = whole[place] === '"';
    const fields = [];
    for (;;) {
      let end;
      if (whole[place] === '"') {
        end = closingQuote(whole, place);
        const here = first + countLines(whole.slice(begun, place));
        if (end < 0) throw new OpenQuote(`line ${here}: a quote opened here is never closed`);
        const after = whole.charCodeAt(end + 1);
        if (after !== mark && after !== 10 && after !== 13)
          throw at(here, "text after the closing quote of this field; double the quotes inside it");
        fields.push(whole.slice(place + 1, end).replaceAll('""', '"'));
        end++;
      } else {
        end = place;
        for (let code = whole.charCodeAt(end); code !== mark && code !== 10 && code !== 13; ) code = whole.charCodeAt(++end);
        fields.push(whole.slice(place, end));
      }
      place = end + 1;
      if (fields.length > MOST_FIELDS) throw at(first, `more than ${count(MOST_FIELDS)} fields`);
      if (whole.charCodeAt(end) === mark) continue;
      if (whole[end] === "\r" && whole[place] === "\n") place++;
      break;
    }
    line += quoted || whole.slice(begun, place).includes('"') ? countLines(whole.slice(begun, place)) : 1;
    yield { line: first, fields, quoted, blank: fields.length === 1 && fields[0] === "" && !quoted };
  }
}

function closingQuote(text, start) {
  for (let i = text.indexOf('"', start + 1); i >= 0; i = text.indexOf('"', i + 2))
    if (text[i + 1] !== '"') return i;
  return -1;
}

const SEPARATOR_LINE = /^\s*"?sep=(.)"?[,;\t\s]*$/i;
const COMMENT = /^"?\s*(#|\/\/|%|!|\*)/;
const NUMBER = /^\s*"?[-+]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"?\s*$/;

// {records, fault}: those of a table, all of the width of the first one. fault: an open quote after
// them, where there are a header and a row before it, which are then looked at first; or null.
export function readRecords(text, format) {
  const records = [];
  try {
    for (const record of recordsOf(withoutLines(text, format.skip_rows), format)) records.push(record);
  } catch (error) {
    const least = format.header ? 2 : 1;
    if (!(error instanceof OpenQuote) || records.length < least) throw error;
    return { records, fault: error };
  }
  return { records, fault: null };
}

function* recordsOf(text, format) {
  const skipped = new Set(Array.isArray(format.skip_rows) ? format.skip_rows : []);
  const isSkipped = (line) => skipped.has(line) || line <= format.skip_rows;
  let first = null;
  let blank = 0;
  for (const record of split(text, format.separator)) {
    if (record.blank) {
      if (!isSkipped(record.line)) blank ||= record.line;
      continue;
    }
    const width = record.fields.length;
    if (first === null) refuseFirst(record, text, format);
    else if (width !== first.fields.length)
      throw at(record.line, `${plural(width, "field")}, but line ${first.line} has ${first.fields.length}`);
    else if (width === 1 && blank) throw at(blank, "blank line, possibly a missing value");
    first ??= record;
    blank = 0;
    yield record;
  }
}

// Refuse comments, Excel's `sep=;`, and a single column that another separator would split.
function refuseFirst(record, text, { separator }) {
  const lines = text.split(/\r\n?|\n/, record.line + 200).slice(record.line - 1);
  if (SEPARATOR_LINE.test(lines[0])) throw at(record.line, `'${lines[0].trim()}' tells Excel the separator`);
  if (isComment(lines, separator)) throw at(record.line, "this line is a comment");
  const second = lines.slice(1).find((line) => line !== "");
  if (record.fields.length > 1 || record.quoted || second === undefined) return;
  for (const mark of [",", ";", "\t", "|"]) {
    const times = occurrences(record.fields[0], mark);
    if (mark !== separator && times > 0 && times === occurrences(second, mark))
      throw at(record.line, `only 1 field; the separator seems to be '${mark === "\t" ? "\\t" : mark}'`);
  }
}

const occurrences = (text, mark) => text.split(mark).length - 1;

function isComment(lines, separator) {
  const mark = COMMENT.exec(lines[0])?.[1];
  if (mark === undefined) return false;
  let many = 1;
  while (many < lines.length && lines[many].replace(/^[ "]+/, "").startsWith(mark)) many++;
  const after = lines.slice(many).filter((line) => line !== "").slice(0, 2);
  if (!after.length) return false;
  const hasNumber = (line) => line.split(separator).some((field) => NUMBER.test(field));
  const marks = occurrences(after[0], separator);
  const hasNames = marks > 0 && occurrences(lines[many - 1], separator) === marks;
  const namesLast = hasNames && (hasNumber(after[0]) || !hasNumber(after.at(-1))); // as in `#x,y`
  return many - (namesLast ? 1 : 0) > 0;
}
