// The function while it was trained: a slider along the losses. Everything in the tab is then the
// function of that moment.

import { el, set, shape } from "./dom.js";
import { draggable, sized } from "./gestures.js";
import { pathOf } from "./model.js";
import { linear } from "./scales.js";
import { count, number } from "./text.js";

const HEIGHT = 66;
const FLOOR = 50;
const EDGE = 6;

// Of several members it is a sentence on why there is none; null where the run has kept no path for
// another reason: too large, or nothing was trained.
export function timelinePart(desk) {
  const path = pathOf(desk.payload);
  if (path !== null && desk.payload.history !== null) return new Timeline(desk, path);
  const { members } = desk.payload.network;
  if (members === 1) return null;
  const text = `This function is the mean of ${count(members)} members, each trained by itself: a timeline of training, ` +
    "with overfitting by epochs, is shown for a run of one member.";
  return { node: el("p", { className: "note untimed" }, text), draw: () => {} };
}

class Timeline {
  constructor(desk, path) {
    Object.assign(this, { desk, path, best: desk.model, place: path.updates.length, width: 0 });
    const { history, training } = desk.payload;
    this.perEpoch = updatesPerEpoch(desk.payload, path);
    this.updates = history.epoch.map((epoch) => epoch * this.perEpoch);
    this.last = Math.max(path.updates.at(-1), this.updates.at(-1));
    this.bestUpdate = training.best_epochs[0] * this.perEpoch;
    this.#build();
  }

  #build() {
    const stops = this.path.updates.length;
    this.said = el("output");
    this.keys = el("input", {
      type: "range", className: "keys", min: 0, max: stops, step: 1, value: stops,
      "aria-label": "how far training had come", oninput: () => this.#go(+this.keys.value),
    });
    this.back = el("button", { type: "button", className: "quiet", onclick: () => this.#go(stops) }, "as trained");
    this.svg = shape("svg", { height: HEIGHT, "aria-hidden": "true" });
    const plot = el("div", { className: "plot" }, this.svg);
    draggable(plot, { move: (px) => this.#go(this.#nearest(px)) });
    sized(plot, (width) => {
      this.width = width;
      set(this.svg, { width });
      this.draw();
    });
    const title = el("h2", { className: "name" }, "Training over time: training and validation loss");
    this.losses = el("p", { className: "note" });
    this.node = el("section", { className: "card timeline" },
      el("div", { className: "head" }, title, el("span", {}, this.said, this.back)), plot, this.keys,
      this.losses, el("p", { className: "note" }, this.#about()));
  }

  #about() {
    const go = "Drag along it, and all of this tab is the function of that moment.";
    if (!this.#hasValidation) return `${go} The run has no validation rows, so that overfitting cannot be seen.`;
    return `${go} Where the loss on validation rows rises while that on training rows still falls, it overfits.`;
  }

  get #hasValidation() { return this.desk.payload.history.validation?.some((loss) => loss > 0); }

  // Both losses at the end of the epoch that is nearest to a moment.
  #lossesAt(update) {
    const { epoch, train, validation } = this.desk.payload.history;
    const away = this.updates.map((each) => Math.abs(each - update)), k = away.indexOf(Math.min(...away));
    const onOthers = this.#hasValidation ? `, on validation rows ${number(validation[k])}` : "";
    return `Epoch ${count(epoch[k])}: loss on training rows ${number(train[k])}${onOthers}.`;
  }

  // Most happens at first: the axis is the square root of the number of updates.
  x(update) {
    return linear(0, Math.sqrt(this.last), EDGE, this.width - EDGE)(Math.sqrt(update));
  }

  // The stop, or the best as the one after the last, that is nearest to a place in the picture.
  #nearest(px) {
    const stops = [...this.path.updates, this.bestUpdate];
    const away = stops.map((update) => Math.abs(this.x(update) - px));
    return away.indexOf(Math.min(...away));
  }

  #go(place) {
    if (place === this.place) return;
    this.place = place;
    const updates = this.path.updates[place], isBest = updates === undefined;
    this.desk.at(isBest ? null : { updates }, isBest ? this.best : this.best.withTheta(this.path.thetas[place]));
  }

  // Only its own moves and another width change it.
  draw() {
    const state = `${this.place} ${this.width}`;
    if (this.drawn === state) return;
    this.drawn = state;
    const updates = this.path.updates[this.place], isBest = updates === undefined;
    this.said.textContent = isBest ? `epoch ${count(this.desk.payload.training.best_epochs[0])}, the best`
      : `epoch ${(updates / this.perEpoch).toFixed(1)}, ${count(updates)} updates`;
    this.losses.textContent = this.#lossesAt(isBest ? this.bestUpdate : updates);
    this.keys.value = this.place;
    this.keys.setAttribute("aria-valuetext", this.said.textContent);
    this.back.disabled = isBest;
    if (this.width) this.svg.replaceChildren(...this.#losses(), ...this.#marks(isBest ? this.bestUpdate : updates));
  }

  #losses() {
    const { train, validation } = this.desk.payload.history;
    const lines = [["training rows", "trainloss", train], ["validation rows", "validloss", validation]];
    const found = lines.filter(([, , losses]) => losses?.some((loss) => loss > 0));
    const logs = found.flatMap(([, , losses]) => losses.filter((loss) => loss > 0).map(Math.log));
    const y = linear(Math.min(...logs), Math.max(...logs), FLOOR - 4, 6);
    const isNarrow = this.width < 460;
    return found.flatMap(([name, kind, losses], i) => {
      const points = losses.map((loss, k) => [this.updates[k], loss]).filter(([, loss]) => loss > 0);
      const d = points.map(([update, loss]) => `${this.x(update).toFixed(1)},${y(Math.log(loss)).toFixed(1)}`);
      const text = isNarrow ? name.split(" ")[0] : `loss on ${name}`;
      const x = this.width * (isNarrow ? 0.42 : 0.5) + (i ? 8 : -8);
      const label = { class: `${kind}name`, x, y: 63, "text-anchor": i ? "start" : "end", text };
      return [shape("path", { class: kind, d: `M${d.join("L")}` }), shape("text", label)];
    });
  }

  #marks(update) {
    const at = this.x(update), end = `epoch ${count(this.desk.payload.history.epoch.at(-1))}`;
    return [
      ...this.path.updates.map((stop) =>
        shape("line", { x1: this.x(stop), x2: this.x(stop), y1: FLOOR, y2: FLOOR + 3, class: "axis" })),
      shape("line", { x1: at, x2: at, y1: 2, y2: FLOOR + 2, class: "now" }),
      shape("circle", { cx: at, cy: FLOOR + 1, r: 6, class: "handle" }),
      shape("text", { x: 4, y: 63, text: "start" }),
      shape("text", { x: this.width - 4, y: 63, "text-anchor": "end", text: end }),
    ];
  }
}

// From the rows and the size of a batch; without rows from the last point of the path, which lies
// within an epoch's end.
function updatesPerEpoch({ background, training, history }, path) {
  const { batch_size: batch } = training;
  if (background) return batch === "full" ? 1 : Math.ceil(background.total / batch);
  return Math.max(1, Math.ceil(path.updates.at(-1) / history.epoch.at(-1)));
}
