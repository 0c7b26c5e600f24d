// Makes elements. Text goes in as text nodes alone, so nothing that was heard or named can become markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function shape(name, extra = "") {
  return s("svg", { class: `shape is-${name} ${extra}`, "aria-hidden": "true" }, s("use", { href: `#s-${name}` }));
}

// Replaces what `parent` holds.
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(isSomething));
  return parent;
}

// Changes the text of an element only when it differs: screen readers and the layout stay quiet.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(isSomething));
  return element;
}

const isSomething = (child) => child !== null && child !== undefined && child !== false && child !== "";
