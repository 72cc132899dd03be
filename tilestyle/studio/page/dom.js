// Elements. Text always goes in as text, so that names of files can hold anything.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; `on…` are listeners, `null` and `false` leave something out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  close: "M4 4l8 8M12 4l-8 8",
  dice: "M3 3h10v10H3zM6 6h.01M10 6h.01M6 10h.01M10 10h.01",
  down: "M8 2v8M4.5 7L8 10.5 11.5 7M3 14h10",
  sides: "M6 4L2 8l4 4M10 4l4 4-4 4",
};

/** A small drawing beside or instead of a word; the button that holds it has the label. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  drawing.append(path);
  return drawing;
}

let count = 0;

/** A new id, to tie a label to its field. */
export function newId() {
  count += 1;
  return `e${count}`;
}

/** Give the focus to the control of this key, if the one that had it is gone. */
export function refocus(key) {
  const active = document.activeElement;
  if (active && active !== document.body && active.isConnected) return;
  document.querySelector(`[data-key="${key}"]`)?.focus({ preventScroll: true });
}

/** Call a function once nothing has happened for some milliseconds; `.cancel()` forgets the call. */
export function debounced(milliseconds, action) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
