// The training rows nearest to a row, and whether any is near at all. No DOM.

// Distances are root mean squares over the inputs, which are standardised: 1 is a deviation each.
export class Neighbours {
  constructor(model, rows) {
    this.model = model;
    this.rows = rows;
    this.inputs = rows.map((row) => model.encode(row, new Float64Array(model.F)));
    this.usual = usualDistance(this.inputs);
  }

  // The nearest rows as [{place, distance}], nearest first; `own` is the row itself, if it is here.
  nearest(values, own = -1, count = 5) {
    const x = this.model.encode(values, new Float64Array(this.model.F));
    const found = this.inputs.map((inputs, place) => ({ place, distance: apart(x, inputs) }));
    if (own >= 0) found.splice(own, 1);
    return found.sort((a, b) => a.distance - b.distance || a.place - b.place).slice(0, count);
  }

  // Whether no row is as near as each of the rows is to another one.
  isFar(nearest) { return nearest.length > 0 && nearest[0].distance > this.usual; }

  // The columns in which a training row differs most from these values, greatest first.
  differences(place, values, count = 3) {
    const row = this.rows[place];
    const gaps = this.model.columns.map((column, j) => ({ j, gap: gapOf(column, row[j], values[j]) }));
    return gaps.filter(({ gap }) => gap > 0.005).sort((a, b) => b.gap - a.gap).slice(0, count);
  }
}

function gapOf(column, a, b) {
  if (Object.is(a, b)) return 0;
  if (column.kind !== "number" || Number.isNaN(a) || Number.isNaN(b)) return 1;
  return Math.abs(a - b) / column.scale;
}

function apart(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum / a.length);
}

// The greatest distance of a row from its nearest other one; of equal rows the next is taken. Of a
// sample of rows, since it takes the square of their number.
function usualDistance(inputs) {
  let greatest = 0;
  for (const one of inputs.slice(0, 200)) {
    let least = Infinity;
    for (const other of inputs) {
      const distance = apart(one, other);
      if (distance > 0 && distance < least) least = distance;
    }
    if (least < Infinity) greatest = Math.max(greatest, least);
  }
  return greatest;
}
