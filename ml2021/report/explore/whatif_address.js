// The row and its changes as the page's address: it can be kept, sent, and gone back to. No DOM.

// {row: its number in the file, column: value, ...}. An image that was painted is too long for it,
// and a row of another file is not here when the page is opened again.
const MOST = 40;

export function addressOf({ hand, own, model, payload }) {
  if (hand.source !== own || hand.moved.length > MOST) return {};
  const row = payload.rows?.values.length ? { row: payload.rows.places[hand.place] + 1 } : {};
  const changes = hand.moved.map((j) => [model.columns[j].name, textOf(model.columns[j], hand.values[j])]);
  return { ...row, ...Object.fromEntries(changes) };
}

function textOf(column, value) {
  if (column.kind === "category") return column.labels[value] ?? "";
  return Number.isNaN(value) ? "" : String(value);
}

// [place of the row, its values] of an address; what is none of this run's is left out.
export function rowOf({ own, model, payload }, { tab, values: asked }) {
  if (tab !== "what-if") return [0];
  const row = Number(asked.get("row")) - 1;
  const place = Math.max(0, payload.rows?.places.indexOf(row) ?? 0);
  const values = own.rows[place].slice();
  model.columns.forEach((column, j) => {
    const text = asked.get(column.name);
    const value = text === null ? undefined : valueOf(column, text);
    if (value !== undefined) values[j] = value;
  });
  return [place, values];
}

function valueOf(column, text) {
  if (column.kind === "category") return column.labels.indexOf(text);
  if (text === "") return NaN;
  return Number.isFinite(Number(text)) ? Number(text) : undefined;
}
