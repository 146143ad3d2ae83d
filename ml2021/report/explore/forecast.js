// Predicts the rows of a table one after the other; of a series each from the values before it, and
// after its last known value from the forecasts before it, as `ml2021 predict` does.
//
// A predictor has total and done, step() that predicts a row or more and says whether there are
// more, predictions (null for a row without one), values: the rows as the model took them, and
// notes(withIntervals). A prediction has {values, std, far}; far: without an interval.

import { notesOn, refuseFar } from "./odd.js";
import { fillGaps, seriesOf } from "./series.js";
import { echo, plural } from "./text.js";

export function predictorOf(model, table) {
  return model.payload.series === null ? new RowPredictor(model, table) : new SeriesPredictor(model, table);
}

const valuesOf = (table, row) => table.columns.map((column) => (column === null ? NaN : column.values[row]));

class RowPredictor {
  constructor(model, table) {
    this.model = model;
    this.table = table;
    this.total = table.count;
    this.done = 0;
    this.predictions = [];
    this.values = [];
    this.truth = table.truth;
    this.rows = Array.from({ length: table.count }, (_, row) => row);
    refuseFar(model, table.columns, this.rows);
  }

  step() {
    const values = valuesOf(this.table, this.done);
    this.values.push(values);
    this.predictions.push(this.model.predict(values));
    return ++this.done < this.total;
  }

  notes() {
    return [...this.table.notes, ...notesOn(this.model, this.table.columns, this.rows)];
  }
}

class SeriesPredictor {
  constructor(model, table) {
    this.model = model;
    this.table = table;
    this.total = table.count;
    this.done = 0;
    this.predictions = Array(table.count).fill(null);
    this.values = Array(table.count).fill(null);
    this.known = []; // rows whose history is known
    this.forecast = 0;
    this.far = 0;
    this.filledValues = 0;
    this.lags = model.columns.flatMap(({ lag }, j) => (lag === null || lag === undefined ? [] : [[j, lag]]));
    this.truth = Array.from({ length: table.count }, () => Array(model.T).fill(NaN));
    this.series = seriesOf(table, model.payload.series).map((rows) => this.begin(rows));
    this.steps = this.all();
    refuseFar(model, table.columns, this.known);
  }

  // A series: its rows, its values, those with gaps filled, and the place after the last known one.
  begin(rows) {
    const { lags, gap_limit } = this.model.payload.series;
    const values = rows.map((row) => this.table.series[row]);
    const filled = fillGaps(values, gap_limit);
    const end = 1 + values.findLastIndex((value) => !Number.isNaN(value));
    const used = new Set();
    for (let at = lags; at < end; at++) {
      if (Number.isNaN(values[at - 1]) || !isComplete(filled, at, lags)) continue;
      this.known.push(rows[at]);
      for (let back = 1; back <= lags; back++) if (Number.isNaN(values[at - back])) used.add(at - back);
    }
    this.filledValues += used.size;
    rows.forEach((row, at) => {
      for (let t = 0; t < this.model.T; t++) this.truth[row][t] = values[at + t] ?? NaN;
    });
    return { rows, values, filled, end };
  }

  *all() {
    const { lags } = this.model.payload.series;
    const known = new Set(this.known);
    for (const { rows, filled, end } of this.series)
      for (let at = 0; at < rows.length; at++) {
        this.done++;
        const isAfter = at >= end;
        if (isAfter ? at >= lags && isComplete(filled, at, lags) : known.has(rows[at])) {
          this.predict(rows[at], filled, at);
          this.predictions[rows[at]].far = at > end;
          if (isAfter) filled[at] = this.predictions[rows[at]].values[0];
          this.forecast += Number(isAfter);
        }
        this.far += Number(at > end);
        yield;
      }
    this.done = this.total;
  }

  predict(row, filled, at) {
    const values = valuesOf(this.table, row);
    for (const [column, lag] of this.lags) values[column] = filled[at - lag];
    this.values[row] = values;
    this.predictions[row] = this.model.predict(values);
  }

  step() {
    return !this.steps.next().done;
  }

  notes(withIntervals) {
    const { name, lags } = this.model.payload.series;
    const empty = this.predictions.filter((prediction) => prediction === null).length;
    const some = (value, text) => (value ? [text(value)] : []);
    return [
      ...this.table.notes,
      ...notesOn(this.model, this.table.columns, this.known),
      ...some(
        this.filledValues,
        (n) => `${plural(n, "missing value")} of ${echo(name)} interpolated in the history of other rows`,
      ),
      ...some(empty, (n) => `rows without a complete history of ${lags}, left empty: ${n}`),
      ...some(this.forecast, (n) => `rows forecast, each from the ones before it: ${n}`),
      ...(withIntervals ? some(this.far, (n) => `rows more than one step ahead, without an interval: ${n}`) : []),
    ];
  }
}

function isComplete(filled, at, lags) {
  for (let back = 1; back <= lags; back++) if (Number.isNaN(filled[at - back])) return false;
  return true;
}
