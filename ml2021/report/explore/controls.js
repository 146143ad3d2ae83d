// Controls with a name each, so that every one is reached and read out by keys and readers.

import { el } from "./dom.js";
import { plain } from "./text.js";

let made = 0;
const fresh = () => `control-${++made}`;

// A number to type; an empty one is NaN where `empty` allows it. Returns {node, input, set}.
export function numberInput({ label, value, onchange, empty = false, className = "" }) {
  let last = value;
  const set = (next) => {
    last = next;
    input.value = plain(next);
    input.removeAttribute("aria-invalid");
  };
  const read = () => {
    const text = input.value.trim().replace("−", "-").replace(",", ".");
    const next = text === "" ? NaN : Number(text);
    if (text === "" ? !empty : !Number.isFinite(next)) {
      input.setAttribute("aria-invalid", "true");
      return;
    }
    set(next);
    onchange(next);
  };
  const input = el("input", {
    type: "text",
    inputMode: "decimal",
    autocomplete: "off",
    className: `number ${className}`,
    "aria-label": label,
    onchange: read,
    onkeydown: (event) => {
      if (event.key === "Escape") set(last);
    },
  });
  set(value);
  return { node: input, input, set };
}

// A slider with its name and its value in words. Returns {node, input, set}.
export function slider({ label, min, max, step, value, text = plain, oninput }) {
  const id = fresh();
  const shown = el("output", { htmlFor: id });
  const input = el("input", {
    type: "range",
    id,
    min,
    max,
    step: step ?? "any",
    oninput: () => {
      show();
      oninput(Number(input.value));
    },
  });
  const show = () => {
    shown.textContent = text(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  const set = (next) => {
    input.value = next;
    show();
  };
  set(value);
  return { node: el("div", { className: "slider" }, el("label", { htmlFor: id }, label), input, shown), input, set };
}

// One of several, as a list to choose from. options: [[value, text], ...]; values are texts.
export function choice({ label, options, value, onchange, hidden = false }) {
  const id = fresh();
  const select = el(
    "select",
    { id, onchange: () => onchange(select.value) },
    options.map(([each, text]) => el("option", { value: each }, text)),
  );
  select.value = value;
  const name = el("label", { htmlFor: id, className: hidden ? "sr" : "" }, label);
  const set = (next) => (select.value = next);
  return { node: el("span", { className: "field" }, name, select), input: select, set };
}

// One of a few, as buttons side by side. options: [[value, text], ...].
export function segmented({ label, options, value, onchange }) {
  const buttons = options.map(([each, text]) =>
    el("button", { type: "button", onclick: () => choose(each) }, text),
  );
  const set = (next) =>
    options.forEach(([each], i) => buttons[i].setAttribute("aria-pressed", String(each === next)));
  const choose = (next) => {
    set(next);
    onchange(next);
  };
  set(value);
  return { node: el("div", { className: "segmented", role: "group", "aria-label": label }, buttons), set };
}

export function checkbox({ label, value, onchange }) {
  const input = el("input", { type: "checkbox", checked: value, onchange: () => onchange(input.checked) });
  return { node: el("label", { className: "check" }, input, ` ${label}`), input };
}
