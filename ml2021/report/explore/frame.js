// The frame of the page: its title, its tabs, and the `app` that every tab is given.
//
// app.payload, app.model   what the page knows; the model of the payload
// app.level, setLevel      of intervals, null for none; emits "level"
// app.lookAt(source, i)    opens a row of a source in What if; emits "row" with {source, index}.
//                          A source is {label, rows, truth, names}: values by column, target values
//                          or null, and what each row is called. canLook: whether there is What if
// app.open(id)             shows a tab; emits "tab" with its id
// app.on, app.emit         events
// app.address              {tab, values}: the page's address after #, values as URLSearchParams
// app.setAddress(values)   keeps an object in it, beside the tab that is open

import { el } from "./dom.js";
import { Model, completed } from "./model.js";
import { count, number } from "./text.js";

const tabs = [];

// tab: {id, place, title, make(app) -> node}; tabs stand in the order of their places.
export function registerTab(tab) {
  tabs.push(tab);
}

export function startPage(found) {
  const payload = { ...found, columns: found.columns.map(completed) };
  tabs.sort((one, other) => one.place - other.place);
  const app = makeApp(payload);
  const list = el("div", { className: "tabs", role: "tablist", "aria-label": "Parts of the page" });
  const panels = new Map(tabs.map((tab) => [tab.id, panelOf(tab)]));
  app.open = (id) => {
    for (const button of list.children) {
      const chosen = button.id === `tab-${id}`;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    for (const [key, panel] of panels) panel.hidden = key !== id;
    app.tab = id;
    if (app.address.tab !== id) app.setAddress({});
    app.emit("tab", id);
  };
  list.append(...tabs.map((tab) => tabButton(app, tab)));
  list.addEventListener("keydown", (event) => moveByKeys(app, event));
  const wanted = tabs.find((tab) => tab.id === app.address.tab) ?? tabs[0];
  app.tab = wanted.id;
  document.getElementById("page").append(header(app), list, ...panels.values(), footer(payload));
  for (const tab of tabs) panels.get(tab.id).append(tab.make(app));
  app.open(wanted.id);
  window.app = app;
  return app;
}

function panelOf({ id }) {
  return el("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}` });
}

function tabButton(app, { id, title }) {
  const attributes = { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}` };
  return el("button", { ...attributes, onclick: () => app.open(id) }, title);
}

// The arrows, Home and End open the tabs.
function moveByKeys(app, event) {
  const last = tabs.length - 1;
  const at = tabs.findIndex((tab) => tab.id === app.tab);
  const places = { ArrowRight: at + 1, ArrowLeft: at + last, Home: 0, End: last };
  if (!(event.key in places)) return;
  event.preventDefault();
  const next = tabs[places[event.key] % tabs.length];
  app.open(next.id);
  document.getElementById(`tab-${next.id}`).focus();
}

function footer({ version, run }) {
  const text =
    `Made by ml2021 ${version} from the run ${run}. Everything is in this one file; its policy forbids every ` +
    "connection, so that what you type or drop stays here.";
  return el("footer", {}, text);
}

function makeApp(payload) {
  const model = new Model(payload);
  const listeners = new Map();
  const levels = payload.widths.map(([level]) => level);
  const app = {
    payload,
    model,
    levels,
    level: levels.includes(0.9) ? 0.9 : levels.at(-1) ?? null,
    canLook: tabs.some((tab) => tab.id === "what-if"),
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    emit: (name, value) => (listeners.get(name) ?? []).forEach((listener) => listener(value)),
    setLevel: (level) => {
      app.level = level;
      app.emit("level", level);
    },
    lookAt: (source, index) => {
      app.open("what-if");
      app.emit("row", { source, index });
    },
    get address() {
      const [tab, ...rest] = location.hash.slice(1).split("&");
      return { tab, values: new URLSearchParams(rest.join("&")) };
    },
    setAddress: (values) => {
      const text = new URLSearchParams(values).toString();
      try {
        history.replaceState(null, "", `#${app.tab}${text ? `&${text}` : ""}`);
      } catch {
        // some browsers refuse it to a file
      }
    },
  };
  return app;
}

function header({ payload, model }) {
  const { network, absent } = payload;
  const members = network.members > 1 ? ` in each of ${network.members} members` : "";
  const how = payload.piecewise ? "was built from a curve" : "this run found";
  const about = [
    `The function that ${how}: ${count(model.parameters)} parameters${members}.`,
    scoreOf(payload),
    absent === null ? null : `It has no rows: ${absent}.`,
  ];
  const name = payload.target.label ?? payload.target.name;
  return el(
    "header",
    {},
    el("h1", {}, `${payload.run}: ${name}`),
    el("p", { className: "soft" }, about.filter((line) => line !== null).join(" ")),
  );
}

const SPLITS = ["test", "held-out", "validation", "train"];

function scoreOf({ scores }) {
  const split = SPLITS.find((name) => name in scores);
  if (split === undefined) return null;
  const { rmse, accuracy } = scores[split];
  const text = rmse !== undefined ? `RMSE ${number(rmse)}` : `Accuracy ${number(accuracy)}`;
  return `${text} on the ${split} rows.`;
}
