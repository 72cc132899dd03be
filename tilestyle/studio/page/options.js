// The options that the page offers, each declared once.

import { lookNamed, status } from "./status.js";
import { recipe } from "./recipe.js";
import { short } from "./words.js";

const ALL = ["render", "texture", "video"];

/**
 * Sliders and choices. `vary` are the values of a contact sheet; `log` sliders move by factors.
 */
export const OPTIONS = {
  strength: {
    label: "Strength",
    low: "more photograph",
    high: "more style",
    kinds: ["render", "video"],
    min: 0,
    max: 1,
    step: 0.01,
    standard: 0.5,
    vary: [0.15, 0.3, 0.4, 0.5, 0.65, 0.85],
  },
  style_scale: {
    label: "Stroke size",
    low: "finer",
    high: "coarser",
    kinds: ALL,
    min: 0.1,
    max: 3,
    log: true,
    standard: 1,
    vary: [0.25, 0.35, 0.5, 0.7, 1, 1.4],
    say: (value) => `${short(value)}×`,
  },
  locality: {
    label: "Locality",
    low: "style from anywhere",
    high: "from the same place",
    kinds: ["render", "texture"],
    min: 0,
    max: 1,
    step: 0.01,
    standard: 0,
    vary: [0, 0.2, 0.4, 0.6, 0.8, 1],
  },
  color: {
    label: "Colors",
    kinds: ["render"],
    choices: { style: "Of the style", content: "Of the photograph", luminance: "Light and dark only" },
    about: {
      style: "The picture takes the colors of the style.",
      content: "The style is recolored to match the photograph.",
      luminance: "Every spot keeps its color. Only light and dark are painted.",
    },
    standard: "style",
    vary: ["style", "content", "luminance"],
  },
  seed: {
    label: "Variation",
    kinds: ALL,
    whole: true,
    standard: 0,
    vary: () => Array.from({ length: 6 }, (_, step) => Number(valueOf("seed")) + step),
    say: (value) => `no. ${value}`,
  },
  look: {
    label: "Look",
    kinds: ["render", "video"],
    standard: "",
    vary: () => status.looks.map((look) => look.name),
  },
  tileable: {
    label: "Repeats",
    kinds: ["texture"],
    choices: { "": "No", x: "Across", y: "Down", both: "Both" },
    standard: "",
  },
  quality: {
    label: "Quality",
    kinds: ALL,
    choices: { draft: "Quick", "": "Normal", best: "Best" },
    about: {
      draft: "A quarter of the time.",
      "": "Right for most pictures.",
      best: "Two to three times as long, with finer detail.",
    },
    standard: "",
  },
};

/** The value of an option where the user has set none: that of the look, else the server's, else the page's. */
export function standardOf(name) {
  const look = recipe.options.look && name !== "look" ? lookNamed(recipe.options.look) : null;
  return look?.options?.[name] ?? status.defaults?.[name] ?? OPTIONS[name].standard;
}

export function valueOf(name) {
  return recipe.options[name] ?? standardOf(name);
}

export function isSet(name) {
  return recipe.options[name] !== undefined;
}

/** A value as it is written below a picture. */
export function say(name, value) {
  const option = OPTIONS[name];
  if (!option) return plain(value);
  if (option.choices) return option.choices[value] ?? String(value);
  if (option.say) return option.say(value);
  return plain(value);
}

/** A value of any setting: "color_2 1, first_1 1", "40, 2". */
function plain(value) {
  if (typeof value === "number") return short(value);
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, each]) => `${name} ${plain(each)}`).join(", ");
}

export function variations(name) {
  const { vary } = OPTIONS[name];
  return typeof vary === "function" ? vary() : (vary ?? []);
}

export function offered(name) {
  return OPTIONS[name].kinds.includes(recipe.kind);
}

const WORDS = {
  dpi: "dots per inch",
  style_scale: "stroke size",
  color: "colors",
  seed: "variation",
  tileable: "repeats",
};

/** Settings of a job as a list of [name, value] for reading. */
export function described({ settings, inputs }) {
  const nameOf = (source) => source?.included ?? source?.name ?? null;
  const rows = [];
  const content = inputs?.content ?? nameOf(settings.content);
  if (content) rows.push(["photograph", content]);
  const styles = (inputs?.styles ?? (settings.styles ?? []).map((style) => nameOf(style.source))).filter(Boolean);
  if (styles.length) rows.push([styles.length > 1 ? "styles" : "style", styles.join(", ")]);
  for (const [name, value] of Object.entries(settings.options ?? {})) {
    rows.push([WORDS[name] ?? name.replaceAll("_", " "), say(name, value)]);
  }
  if (settings.options?.paper === undefined) return rows;
  return rows.filter(([name]) => name !== "size");
}
