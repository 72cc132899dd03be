// Controls: sliders, choices, fields. Each has a label that belongs to it.

import { h, icon, newId } from "./dom.js";
import { OPTIONS, isSet, offered, say, standardOf, valueOf } from "./options.js";
import { recipe } from "./recipe.js";
import { status } from "./status.js";

function toSlider(option, value) {
  return option.log ? Math.log(value / option.min) / Math.log(option.max / option.min) : value;
}

function fromSlider(option, position) {
  if (!option.log) return Number(position);
  const value = option.min * (option.max / option.min) ** Number(position);
  return Number(value.toPrecision(2));
}

/** A button that takes an option back to its default; there only while it differs. */
function reset(name, update) {
  const button = h(
    "button",
    { class: "quiet reset", "aria-label": `Reset ${OPTIONS[name].label.toLowerCase()}`, onclick: () => recipe.setOption(name, undefined) },
    "reset",
  );
  return [button, () => { button.hidden = !isSet(name); update?.(); }];
}

function slider(name) {
  const option = OPTIONS[name];
  const id = newId();
  const output = h("output", { for: id });
  const input = h("input", {
    type: "range",
    id,
    min: option.log ? 0 : option.min,
    max: option.log ? 1 : option.max,
    step: option.log ? 0.005 : option.step,
    "data-option": name,
    oninput: () => recipe.setOption(name, fromSlider(option, input.value)),
  });
  const [button, update] = reset(name);
  const element = h(
    "div",
    { class: "control" },
    h("div", { class: "head" }, h("label", { for: id }, option.label), button, output),
    input,
    h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, option.low), h("span", {}, option.high)),
  );
  element.refresh = () => {
    const value = Number(valueOf(name));
    if (document.activeElement !== input || fromSlider(option, input.value) !== value) input.value = toSlider(option, value);
    output.textContent = say(name, value);
    input.setAttribute("aria-valuetext", `${say(name, value)}${value === Number(standardOf(name)) ? ", the default" : ""}`);
    update();
  };
  return element;
}

/** One of a few, as buttons in a row. `pick` gets the key of the one that is chosen. */
export function choice(label, choices, pick, { name = newId(), about = null } = {}) {
  const inputs = new Map();
  const note = h("p", { class: "note" });
  const row = h("div", { class: "segments" });
  for (const [value, text] of Object.entries(choices)) {
    const input = h("input", { type: "radio", name, onchange: () => pick(value) });
    inputs.set(value, input);
    row.append(h("label", {}, input, h("span", {}, text)));
  }
  const element = h("fieldset", { class: "control" }, h("legend", {}, label), row, about ? note : null);
  element.show = (value) => {
    for (const [key, input] of inputs) input.checked = key === value;
    note.textContent = about?.[value] ?? "";
  };
  return element;
}

function segments(name) {
  const option = OPTIONS[name];
  const element = choice(option.label, option.choices, (value) => recipe.setOption(name, value), { name: `option-${name}`, about: option.about });
  element.refresh = () => element.show(valueOf(name));
  return element;
}

function wholeNumber(name) {
  const option = OPTIONS[name];
  const id = newId();
  const input = h("input", {
    type: "number",
    id,
    min: 0,
    step: 1,
    inputmode: "numeric",
    "data-option": name,
    oninput: () => input.validity.valid && recipe.setOption(name, input.value === "" ? undefined : Number(input.value)),
  });
  const another = h(
    "button",
    { onclick: () => recipe.setOption(name, 1 + Math.floor(Math.random() * 9999)), title: "The same settings, painted another way" },
    icon("dice"),
    "Another",
  );
  const element = h("div", { class: "control line-up" }, h("label", { for: id }, option.label), input, another);
  element.refresh = () => {
    if (document.activeElement !== input) input.value = valueOf(name);
  };
  return element;
}

function lookSelect(name) {
  const id = newId();
  const select = h("select", { id, "data-option": name, onchange: () => recipe.setOption(name, select.value) });
  const note = h("p", { class: "note" });
  const element = h("div", { class: "control" }, h("div", { class: "line-up" }, h("label", { for: id }, OPTIONS[name].label), select), note);
  element.refresh = () => {
    const wanted = ["", ...status.looks.map((look) => look.name)];
    if (select.options.length !== wanted.length) select.replaceChildren(...wanted.map((look) => h("option", { value: look }, look || "none")));
    select.value = valueOf(name);
    note.textContent = status.looks.find((look) => look.name === select.value)?.about ?? "";
  };
  return element;
}

/** The control of an option by its name; `.refresh()` shows the value that it has now. */
export function control(name) {
  const option = OPTIONS[name];
  const element = name === "look" ? lookSelect(name) : option.choices ? segments(name) : option.whole ? wholeNumber(name) : slider(name);
  const refresh = element.refresh;
  element.refresh = () => {
    element.hidden = !offered(name);
    refresh();
  };
  element.refresh();
  return element;
}

/** A field of text or a number with its label, in one line. */
export function field(label, attributes, note = null) {
  const id = newId();
  const input = h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes, id });
  const element = h("div", { class: "control" }, h("div", { class: "line-up" }, h("label", { for: id }, label), input), note ? h("p", { class: "note" }, note) : null);
  element.input = input;
  return element;
}

/** A choice of many, in one line. `options` is a list of [value, text]. */
export function select(label, options, pick, attributes = {}) {
  const id = newId();
  const element = h("div", { class: "control line-up" }, h("label", { for: id }, label));
  const box = h("select", { id, ...attributes, onchange: () => pick(box.value) }, options.map(([value, text]) => h("option", { value }, text)));
  element.append(box);
  element.box = box;
  return element;
}
