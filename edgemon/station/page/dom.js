// Making and changing nodes. What the station tells is only ever text: no markup is parsed anywhere on these pages.

/** A node with attributes ("on": listeners, "class", "data-...", true for a bare attribute) and children or text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text if it differs, so that an unchanged page costs nothing and a screen reader hears nothing. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes a data attribute if it differs. */
export function mark(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (name in node.dataset) delete node.dataset[name];
  } else if (node.dataset[name] !== String(value)) {
    node.dataset[name] = String(value);
  }
}

/** Shows or hides. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}
