// What the user has chosen: pictures, styles, options. It survives a reload.

import { OPTIONS } from "./options.js";

const KEY = "tilestyle.recipe";
const RECENT = "tilestyle.recent";
const NOT_OF_VIDEOS = ["paper", "dpi", "fit", "bleed", "stroke", "depth"];
const KINDS = ["render", "texture", "video"];

const empty = () => ({ kind: "render", content: null, styles: [], options: {} });

function loaded(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still works, without memory of the last visit.
  }
}

function restored() {
  const value = loaded(KEY, null);
  if (!value || !KINDS.includes(value.kind) || !Array.isArray(value.styles) || typeof value.options !== "object") return empty();
  return { ...empty(), ...value };
}

/** A picture of the server: {source, name, width?, height?, seconds?}. */
export function sourceKey(picture) {
  return picture.source.upload ? `upload/${picture.source.upload}` : `included/${picture.source.included}`;
}

export function thumbnail(picture, size = 256) {
  const name = encodeURIComponent(picture.source.upload ?? picture.source.included);
  return picture.source.upload ? `/api/uploads/${name}/thumbnail?size=${size}` : `/api/pictures/${name}/thumbnail?size=${size}`;
}

export const fromUpload = (answer) => ({
  source: { upload: answer.id },
  name: answer.name,
  width: answer.width,
  height: answer.height,
  seconds: answer.seconds ?? null,
  clip: answer.kind === "clip",
});

export const fromIncluded = (name) => ({ source: { included: name }, name, clip: false });

class Recipe extends EventTarget {
  value = restored();

  get kind() {
    return this.value.kind;
  }
  get content() {
    return this.value.content;
  }
  get styles() {
    return this.value.styles;
  }
  get options() {
    return this.value.options;
  }

  /** Whether there is enough to make a picture of. */
  get complete() {
    const styled = this.styles.length > 0 || Boolean(this.options.look);
    return styled && (this.kind === "texture" || (this.content !== null && this.content.clip === (this.kind === "video")));
  }

  change(part) {
    this.value = { ...this.value, ...part };
    keep(KEY, this.value);
    this.dispatchEvent(new CustomEvent("change", { detail: Object.keys(part) }));
  }

  setOption(name, value) {
    this.setOptions({ [name]: value });
  }

  /** Set options; `undefined` or null takes one back to its default. */
  setOptions(values) {
    const options = { ...this.options, ...values };
    for (const name of Object.keys(options)) if (options[name] === undefined || options[name] === null || options[name] === "") delete options[name];
    this.change({ options });
  }

  setContent(picture) {
    const kind = picture?.clip ? "video" : this.kind === "video" && picture ? "render" : this.kind;
    this.change({ content: picture, kind });
  }

  addStyle(picture) {
    const others = this.kind === "video" ? [] : this.styles.filter((style) => sourceKey(style) !== sourceKey(picture));
    this.change({ styles: [...others, { ...picture, weight: 1 }] });
  }

  removeStyle(picture) {
    this.change({ styles: this.styles.filter((style) => sourceKey(style) !== sourceKey(picture)) });
  }

  setWeight(picture, weight) {
    const styles = this.styles.map((style) => (sourceKey(style) === sourceKey(picture) ? { ...style, weight } : style));
    this.change({ styles });
  }

  /** Forget a picture that the server no longer has. */
  lose(picture) {
    const key = sourceKey(picture);
    if (this.content && sourceKey(this.content) === key) this.change({ content: null });
    if (this.styles.some((style) => sourceKey(style) === key)) this.removeStyle(picture);
  }

  /** What the server is sent; `without` names options that are left out. */
  settings(without = []) {
    const options = Object.fromEntries(Object.entries(this.options).filter(([name]) => !without.includes(name) && this.takes(name)));
    // A width of strokes takes the place of their size.
    if (options.stroke) delete options.style_scale;
    // Every weight 0 would be no style at all: then they count the same.
    const styles = this.kind === "video" ? this.styles.slice(0, 1) : this.styles;
    const none = styles.every((style) => style.weight === 0);
    return {
      content: this.kind === "texture" ? null : (this.content?.source ?? null),
      styles: styles.map((style) => ({ source: style.source, weight: none ? 1 : style.weight })),
      options,
    };
  }

  /** Whether what is made now has an option; what was chosen for another kind is kept for it. */
  takes(name) {
    if (OPTIONS[name]) return OPTIONS[name].kinds.includes(this.kind);
    return this.kind !== "video" || !NOT_OF_VIDEOS.includes(name);
  }

  /** Take over settings of a job. */
  load(kind, settings, names = null) {
    const picture = (source, name) => {
      const bare = source.upload ? { upload: source.upload } : { included: source.included };
      const known = recent().find((item) => item.source.upload && item.source.upload === source.upload);
      return known ?? { source: bare, name: source.included ?? name ?? "your picture", clip: false };
    };
    const content = settings.content ? { ...picture(settings.content, names?.content), clip: kind === "video" } : null;
    this.change({
      kind: KINDS.includes(kind) ? kind : "render",
      content,
      styles: (settings.styles ?? []).map((style, place) => ({ ...picture(style.source, names?.styles?.[place]), weight: style.weight ?? 1 })),
      options: { ...settings.options },
    });
  }
}

export const recipe = new Recipe();

/** Pictures that were uploaded from this browser, newest first. */
export function recent() {
  const items = loaded(RECENT, []);
  return Array.isArray(items) ? items.filter((item) => item?.source?.upload) : [];
}

export function remember(picture) {
  keep(RECENT, [picture, ...recent().filter((item) => sourceKey(item) !== sourceKey(picture))].slice(0, 24));
}

export function forgetRecent(picture) {
  keep(RECENT, recent().filter((item) => sourceKey(item) !== sourceKey(picture)));
}
