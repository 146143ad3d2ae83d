// What is predicted for the row, in words and on a line, always in sight: the value with its
// interval and the truth, or the classes with their probabilities.

import { choice } from "./controls.js";
import { el } from "./dom.js";
import { argmax, count, number, percent } from "./text.js";
import { stripPart } from "./whatif_strip.js";

const MOST_CLASSES = 10;

export function readingPart(desk) {
  const { model } = desk, big = el("output", { className: "big" }), about = el("p", { className: "about" });
  const beside = model.isClass ? probabilities(desk) : stripPart(desk);
  const said = el("div", { className: "said" }, el("div", { className: "what" }, whatIsRead(desk)), big, about);
  const node = el("section", { className: "reading", "aria-label": "the prediction" }, said, beside.node);
  const draw = (frame) => {
    big.textContent = model.isClass
      ? model.target.labels[argmax(frame.values)] : desk.text(frame.now);
    about.replaceChildren(...(model.isClass ? factsOfClass(desk, frame) : facts(desk, frame)));
    beside.draw(frame);
  };
  return { node, draw };
}

// The name of the output; a list of them, where there are several.
function whatIsRead(desk) {
  const { isClass, target } = desk.model;
  if (isClass) return el("span", {}, target.label);
  if (target.labels.length === 1) return el("span", {}, target.labels[0]);
  const list = choice({
    label: "the output that is looked at", hidden: true, value: 0,
    options: target.labels.map((label, i) => [i, label]), onchange: (value) => desk.look(+value),
  });
  desk.quick.push({ draw: () => list.set(desk.hand.output) });
  return list.node;
}

const said = (kind, ...text) => el("span", { className: kind }, ...text);

function facts(desk, { now, half, std, isFar, outside }) {
  const { hand } = desk, truth = hand.truth?.[hand.output] ?? NaN;
  const found = [];
  if (half !== null) found.push(said("interval", `${desk.text(now - half)} to ${desk.text(now + half)}`));
  if (std) found.push(said("", `members ± ${number(std[hand.output])}`));
  if (!Number.isNaN(truth)) found.push(said("truth", `◆ truth ${desk.text(truth)}${ofWhich(hand)}`));
  const heldOut = hand.source.isHeldOut && !hand.moved.length ? hand.source.predictions[hand.place] : null;
  if (heldOut) found.push(said("", `${desk.text(heldOut[hand.output])} by the fold that held it out`));
  return [...found, ...warnings(desk, outside, isFar)];
}

function factsOfClass(desk, { values, isFar, outside }) {
  const { hand, model } = desk, { labels } = model.target, [truth] = hand.truth ?? [-1];
  const found = [said("", `probability ${percent(values[argmax(values)])}`), ...atThreshold(desk, values)];
  if (truth >= 0) found.push(said("truth", `◆ truth ${labels[truth]}${ofWhich(hand)}`));
  return [...found, ...warnings(desk, outside, isFar)];
}

// Where the run found a threshold of two classes that is better than a half, and it matters here.
function atThreshold({ model, payload: { threshold } }, values) {
  if (threshold === null) return [];
  const { labels } = model.target, positive = labels.indexOf(threshold.positive);
  const chosen = values[positive] >= threshold.threshold ? positive : 1 - positive;
  if (chosen === argmax(values)) return [];
  return [said("", `${labels[chosen]} at the run's threshold of ${percent(threshold.threshold)}`)];
}

const ofWhich = (hand) => hand.moved.length ? " of the row as it was" : "";

function warnings(desk, outside, isFar) {
  const found = [];
  if (desk.moment) found.push(said("warn", `≈ after ${count(desk.moment.updates)} updates`));
  if (outside.length) {
    const names = outside.slice(0, 3).map(({ name }) => name).join(", ");
    found.push(said("warn", `outside of training: ${names}${outside.length > 3 ? " …" : ""}`));
  } else if (isFar) found.push(said("warn", "like no training row"));
  return found;
}

// A bar for each class, the likeliest of very many; a tap on one chooses what the curves show.
function probabilities(desk) {
  const { labels } = desk.model.target, isMany = labels.length > MOST_CLASSES;
  const bars = Array.from({ length: Math.min(labels.length, MOST_CLASSES) }, () => probability(desk));
  const node = el("div", { className: "probabilities", role: "group", "aria-label": "the class that the curves show" },
    ...bars.map((bar) => bar.node));
  const draw = ({ values }) => {
    const classes = [...labels.keys()];
    if (isMany) classes.sort((a, b) => values[b] - values[a]);
    bars.forEach((bar, i) => bar.draw(classes[i], values[classes[i]]));
  };
  return { node, draw };
}

function probability(desk) {
  let shown = 0;
  const name = el("b", {}), fill = el("span", { className: "fill" }), share = el("i", {});
  const node = el("button", { type: "button", className: "probability" },
    name, el("span", { className: "track" }, fill), share);
  node.addEventListener("click", () => desk.look(shown));
  const draw = (place, value) => {
    shown = place;
    const isTruth = desk.hand.truth?.[0] === place;
    name.textContent = desk.model.target.labels[place] + (isTruth ? " ◆" : "");
    fill.style.width = `${100 * value}%`;
    share.textContent = percent(value);
    node.setAttribute("aria-pressed", String(place === desk.hand.output));
  };
  return { node, draw };
}
