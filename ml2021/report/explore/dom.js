// Elements. No text ever becomes markup: the page's policy forbids it, and nothing here would.

const SVG = "http://www.w3.org/2000/svg";

// An element with properties; on... adds a listener, aria-..., role, data-... are attributes.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "role" || key === "list" || key.includes("-")) node.setAttribute(key, String(value));
    else node[key] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// An SVG element with attributes; `text` is its text.
export function shape(tag, { text, ...attributes } = {}, ...children) {
  const node = set(document.createElementNS(SVG, tag), attributes);
  if (text !== undefined) node.textContent = text;
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A picture whose content is read out as one sentence.
export function picture(label, attributes = {}) {
  return shape("svg", { role: "img", "aria-label": label, ...attributes });
}
