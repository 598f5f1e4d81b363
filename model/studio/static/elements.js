// Builds elements without HTML text, which the Content-Security-Policy forbids.

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new element.
 * @param {string} tag - name, with classes after dots: "p.lead".
 * @param {object} [attributes] - attributes; `onclick` and the like add listeners, `style` sets custom properties,
 *   `dataset` sets data attributes; true sets an empty attribute, false, null and undefined set none.
 * @param {...(Node|string|number|null|undefined|false|Array)} children - texts become text nodes.
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag.split(".")[0]), tag, attributes, children);
}

/** A new element of SVG; see `element`. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag.split(".")[0]), tag, attributes, children);
}

/** Replaces the children of an element. */
export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

/** A button with a text. */
export function button(label, onclick, attributes = {}) {
  return element("button.plain", { type: "button", onclick, ...attributes }, label);
}

function fill(created, tag, attributes, children) {
  const classes = tag.split(".").slice(1);
  if (classes.length) created.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) set(created, name, value);
  created.append(...nodes(children));
  return created;
}

function set(target, name, value) {
  if (value === false || value === null || value === undefined) return;
  if (name.startsWith("on")) target.addEventListener(name.slice(2), value);
  else if (name === "style") for (const [key, text] of Object.entries(value)) target.style.setProperty(key, text);
  else if (name === "dataset") Object.assign(target.dataset, value);
  else if (name === "class") target.classList.add(...value.split(" ").filter(Boolean));
  else if (name === "value" && "value" in target) target.value = value;
  else target.setAttribute(name, value === true ? "" : value);
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
