// What all parts of the tab share: the row in hand, the frame that they draw, and when they do.
//
// A part is {node, draw(frame)}. Quick parts draw in each frame; slow ones when nothing has moved
// for a moment. A frame has
//   values, std   of the row's outputs; std: of the members, null for one
//   now, was      the output that is looked at: of the row, and of the row as it was
//   low, high     the ends of that output's axis, which all curves share
//   half          half the width of its interval, null without one
//   nearest       the nearest training rows
//   outside       the columns in which a made row is outside of training; isFar: it is like no row
//   begun         when the frame began, in ms: whoever draws much shares its time out

import { Neighbours } from "./neighbours.js";
import { number } from "./text.js";
import { RowInHand, knownValues, ownRows } from "./whatif_row.js";

const QUIET = 60; // ms

export class Desk {
  constructor(app) {
    Object.assign(this, { app, payload: app.payload, model: app.model, moment: null });
    this.background = app.payload.background?.values.map(knownValues) ?? [];
    this.neighbours = new Neighbours(app.model, this.background);
    this.own = ownRows(app.payload);
    this.hand = new RowInHand(app.model, this.own);
    this.quick = [];
    this.slow = [];
    this.isDue = false;
    app.on("level", () => this.redraw());
  }

  // Let the function be that of a moment of training, {updates}; null is the run's best.
  at(moment, model) {
    this.moment = moment;
    this.model = this.hand.model = model;
    const { source } = this.hand;
    if (!source.isHeldOut) source.predictions = null;
    this.redraw();
  }

  change(...changes) {
    for (const [j, value] of changes) this.hand.values[j] = value;
    this.redraw();
  }

  take(place, values = null) {
    this.hand.take(place, values);
    this.redraw();
  }

  look(output) {
    this.hand.output = output;
    this.redraw();
  }

  // Draw with the screen's next frame, however often it is asked for until then.
  redraw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  draw() {
    const frame = this.frame = this.#frame();
    for (const part of this.quick) part.draw(frame);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.slow.forEach((part) => part.draw(frame)), QUIET);
  }

  #frame() {
    const { model, hand, neighbours } = this, { output } = hand;
    const { values, std } = model.predict(hand.values);
    const now = values[output], was = model.predict(hand.origin).values[output];
    const [low, high] = axisOf(model, output), nearest = neighbours.nearest(hand.values, this.#ownPlace());
    // A row that was drawn keeps the interval's promise, however odd it is: the promise counts odd
    // rows, too. One that was made up has none.
    return {
      begun: performance.now(), values, std, now, was,
      low: Math.min(low, now, was), high: Math.max(high, now, was),
      half: this.halfWidth(output), nearest,
      outside: hand.isMade ? hand.outside : [],
      isFar: hand.isMade && neighbours.isFar(nearest),
    };
  }

  // Where the row in hand is one of the training rows, its place among them; −1 where it is not.
  #ownPlace() {
    const { hand, own, payload: { rows, background } } = this;
    if (hand.source !== own || rows?.part !== "train") return -1;
    return background?.places.indexOf(rows.places[hand.place]) ?? -1;
  }

  // A value of an output in words, as finely as its training values differ.
  text(value, output = this.hand.output) {
    return number(value, this.model.target.scales?.[output]);
  }

  // Intervals were calibrated for the best network, and for no other moment of training.
  halfWidth(output) {
    if (this.model.isClass || this.moment) return null;
    return this.model.halfWidths(this.app.level)?.[output] ?? null;
  }
}

// From the least to the greatest training value, and a little more.
function axisOf({ isClass, target }, output) {
  if (isClass) return [0, 1];
  const low = target.low[output], high = target.high[output], more = 0.04 * (high - low);
  return [low - more, high + more];
}
