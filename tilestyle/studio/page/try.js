// Try: choose pictures, see drafts, steer.

import { chooseInDialog, chooser, thumb, uploadAll } from "./chooser.js";
import { choice, control, select } from "./controls.js";
import { h, icon, newId, refocus } from "./dom.js";
import { drafts } from "./drafts.js";
import { showNotice } from "./lines.js";
import { OPTIONS, offered, say, valueOf, variations } from "./options.js";
import { recipe, sourceKey, thumbnail } from "./recipe.js";
import { status } from "./status.js";

const SMALL = 320; // long side of the copies of pictures, pixels
const LARGE = 1024;
const VARIED = ["strength", "style_scale", "color", "locality", "seed", "look"];

function pickContent(picture) {
  recipe.setContent(picture);
}

/** What is missing, as the role of a chooser; null when a draft can be made. */
function missing() {
  if (recipe.kind === "video" && !recipe.content?.clip) return "clip";
  if (recipe.kind === "render" && (!recipe.content || recipe.content.clip)) return "content";
  if (recipe.styles.length === 0 && !recipe.options.look) return "style";
  return null;
}

/** A button that shows the photograph instead of the draft for as long as it is held. */
function peekButton(show) {
  const set = (on) => {
    button.setAttribute("aria-pressed", String(on));
    show(on);
  };
  let held = false;
  const button = h(
    "button",
    {
      "aria-pressed": "false",
      onpointerdown: (event) => {
        button.setPointerCapture(event.pointerId);
        held = true;
        set(true);
      },
      onpointerup: () => set(false),
      onpointercancel: () => set(false),
      onkeydown: (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        held = true;
        if (!event.repeat) set(true);
      },
      onkeyup: () => set(false),
      onblur: () => set(false),
      onclick: () => {
        // A screen reader clicks without holding anything: then it is a switch.
        if (!held) set(button.getAttribute("aria-pressed") !== "true");
        held = false;
      },
    },
  );
  button.refresh = (word) => {
    if (button.textContent === word) return;
    button.textContent = word;
    button.setAttribute("aria-label", `${word}, shown while you hold this`);
    button.title = `Hold to see the ${word.toLowerCase()}`;
  };
  return button;
}

function draftStage() {
  const image = h("img", { class: "draft", alt: "Draft of the picture", draggable: "false" });
  const original = h("img", { class: "draft original", alt: "The photograph", hidden: true, draggable: "false" });
  const statusLine = h("p", { class: "status-line", role: "status" });
  let peeking = false;
  const peek = peekButton((on) => {
    peeking = on;
    element.refresh();
  });
  const repeated = h("div", { class: "repeated", role: "img", "aria-label": "Copies of the draft, side by side", hidden: true });
  const repeat = h("button", { "aria-pressed": "false", onclick: () => {
    repeat.setAttribute("aria-pressed", String(repeat.getAttribute("aria-pressed") !== "true"));
    element.refresh();
  } }, "Repeat it");
  const frame = h("div", { class: "frame" }, image, original, repeated);
  const element = h("div", { class: "draft-stage" }, frame, h("div", { class: "bar" }, statusLine, repeat, peek));
  let shown = "";
  element.refresh = () => {
    const { draft, waiting, failed } = drafts;
    if (!draft) {
      shown = "";
      image.removeAttribute("src");
    }
    if (draft && draft.url !== shown) {
      shown = draft.url;
      const next = new Image();
      // The picture before stays until this one can be drawn.
      next.onload = () => shown === draft.url && (image.src = next.src);
      next.src = draft.url;
    }
    image.classList.toggle("old", waiting && Boolean(draft));
    // Until there is a draft, the photograph stands where it will be.
    const pictured = recipe.kind !== "texture" && recipe.content !== null;
    original.hidden = !(pictured && (peeking || !draft));
    original.classList.toggle("faint", !draft && !peeking);
    frame.classList.toggle("empty", !draft);
    // Enlarged many times, pixels would show as a grid.
    if (draft) image.style.setProperty("--soft", `${Math.max(frame.clientWidth / draft.width - 3, 0) * 0.5}px`);
    element.setAttribute("aria-busy", String(waiting));
    if (failed) statusLine.textContent = "No draft.";
    else if (waiting || !draft) statusLine.textContent = draft ? "Painting a new draft …" : "Painting the first draft …";
    else statusLine.textContent = draft.final ? `Draft, ${draft.width} × ${draft.height}` : `Draft, ${draft.width} × ${draft.height}, getting better …`;
    peek.hidden = !pictured;
    peek.refresh(recipe.kind === "video" ? "Clip" : "Photograph");
    const tiles = recipe.kind === "texture" && Boolean(recipe.options.tileable);
    repeat.hidden = !tiles;
    repeated.hidden = !(tiles && draft && repeat.getAttribute("aria-pressed") === "true");
    if (!repeated.hidden) {
      repeated.style.backgroundImage = `url("${draft.url}")`;
      repeated.style.backgroundRepeat = { x: "repeat-x", y: "repeat-y" }[recipe.options.tileable] ?? "repeat";
    }
    image.classList.toggle("away", peeking || !draft || !repeated.hidden);
    if (pictured) {
      // Until then the copy that has just been chosen from, which the browser has already.
      const source = thumbnail(recipe.content, draft || peeking ? LARGE : SMALL);
      if (original.getAttribute("src") !== source) original.setAttribute("src", source);
    }
  };
  return element;
}

function sheetStage(leave) {
  const grid = h("div", { class: "cells" });
  const statusLine = h("p", { class: "status-line", role: "status" });
  const element = h("div", { class: "sheet-stage" }, grid, h("div", { class: "bar" }, statusLine, h("button", { onclick: leave }, "Back to one picture")));
  let revision = null;
  let images = [];
  element.refresh = () => {
    const { sheet } = drafts;
    if (!sheet) return;
    if (sheet.revision !== revision) {
      revision = sheet.revision;
      const buttons = [];
      images = sheet.cells.map((cell) => {
        const words = Object.entries(cell.options).map(([name, value]) => optionWords(name, value)).join(", ");
        const image = h("img", { alt: "", draggable: "false", hidden: true });
        const now = Object.entries(cell.options).every(([name, value]) => valueOf(name) === value);
        const button = h(
          "button",
          {
            class: now ? "cell now" : "cell",
            onclick: () => {
              recipe.setOptions(cell.options);
              leave();
              showNotice(`Taken over: ${words}.`);
            },
          },
          h("span", { class: "picture" }, image),
          h("span", { class: "caption" }, words, now ? h("em", {}, " · now") : null),
        );
        buttons.push(button);
        return image;
      });
      grid.replaceChildren(...buttons);
      // Two options make a table: one across, one down.
      const across = Object.values(sheet.vary).slice(1).map((values) => values.length)[0];
      grid.classList.toggle("table", Boolean(across));
      if (across) grid.style.setProperty("--columns", across);
      else grid.style.removeProperty("--columns");
    }
    sheet.cells.forEach((cell, place) => {
      if (cell.failed) images[place].closest(".cell").classList.add("failed");
      if (!cell.url || images[place].getAttribute("src") === cell.url) return;
      images[place].setAttribute("src", cell.url);
      images[place].hidden = false;
    });
    const ready = sheet.cells.filter((cell) => cell.url || cell.failed).length;
    const all = sheet.cells.length;
    statusLine.textContent = ready < all ? `${ready} of ${all} painted …` : "Choose the one you like.";
  };
  return element;
}

function optionWords(name, value) {
  const { label, choices } = OPTIONS[name];
  return choices ? `${label}: ${say(name, value).toLowerCase()}` : `${label} ${say(name, value)}`;
}

/** The pictures that are used: the photograph, and the styles with their shares. */
function sources() {
  const content = h("div", { class: "control" });
  const styles = h("div", { class: "control" });
  const element = h("section", { class: "part", "aria-label": "Pictures" }, content, styles);
  let sliders = new Map();
  let shape = "";

  const row = (picture, ...more) =>
    h(
      "div",
      { class: "source" },
      thumb(picture, SMALL, () => {
        recipe.lose(picture);
        showNotice(`${picture.name} is no longer in the studio's folder. Choose it again.`);
      }),
      h("span", { class: "name" }, picture.name),
      ...more,
    );

  function contentRow() {
    if (recipe.kind === "texture") return [];
    const clip = recipe.kind === "video";
    const role = clip ? "clip" : "content";
    const picture = recipe.content?.clip === clip ? recipe.content : null;
    const what = clip ? "Clip" : "Photograph";
    return [
      h("h3", {}, what),
      picture
        ? row(picture, h("button", { class: "quiet", "data-key": "content", "aria-label": `Change the ${what.toLowerCase()}`, onclick: () => chooseInDialog(role, pickContent) }, "Change"))
        : h("button", { class: "wide", "data-key": "content", onclick: () => chooseInDialog(role, pickContent) }, `Choose a ${what.toLowerCase()}`),
    ];
  }

  function styleRows() {
    sliders = new Map();
    const one = recipe.kind === "video"; // which has a single style
    const several = recipe.styles.length > 1 && !one;
    const rows = recipe.styles.slice(0, one ? 1 : undefined).map((style) => {
      const remove = h("button", { class: "quiet square", "aria-label": `Remove ${style.name}`, onclick: () => {
        recipe.removeStyle(style);
        refocus("styles");
      } }, icon("close"));
      if (!several) return row(style, remove);
      const id = newId();
      const output = h("output", { for: id });
      const input = h("input", { type: "range", id, min: 0, max: 1, step: 0.01, "aria-label": `Share of ${style.name}`, oninput: () => recipe.setWeight(style, Number(input.value)) });
      sliders.set(sourceKey(style), { input, output });
      return h("div", {}, row(style, output, remove), input);
    });
    return [
      h("h3", {}, several ? "Styles and their shares" : "Style"),
      ...rows,
      h("button", { class: "wide", "data-key": "styles", onclick: () => chooseInDialog("style", (picture) => recipe.addStyle(picture)) }, recipe.styles.length === 0 ? "Choose a style" : one ? "Another style" : "Add a style"),
    ];
  }

  element.refresh = () => {
    const now = JSON.stringify([recipe.kind, recipe.content, recipe.styles.map((style) => sourceKey(style))]);
    if (now !== shape) {
      shape = now;
      content.replaceChildren(...contentRow());
      styles.replaceChildren(...styleRows());
    }
    const total = recipe.styles.reduce((sum, style) => sum + style.weight, 0);
    for (const style of recipe.styles) {
      const slider = sliders.get(sourceKey(style));
      if (!slider) continue;
      if (document.activeElement !== slider.input) slider.input.value = style.weight;
      const share = total > 0 ? style.weight / total : 1 / recipe.styles.length;
      slider.output.textContent = `${Math.round(100 * share)}%`;
    }
  };
  return element;
}

function sideBySide() {
  const names = () => VARIED.filter((name) => offered(name) && variations(name).length > 1);
  const options = (list) => list.map((name) => [name, OPTIONS[name].label]);
  const first = select("Vary", [], () => element.refresh(), { "data-vary": "first" });
  const second = select("and", [], () => {}, { "data-vary": "second" });
  const button = h(
    "button",
    {
      class: "wide",
      onclick: () => {
        const vary = {};
        const two = second.box.value !== "";
        for (const name of [first.box.value, second.box.value]) if (name) vary[name] = two ? thinned(variations(name)) : variations(name);
        drafts.askSheet(vary);
      },
    },
    "Show side by side",
  );
  const element = h("details", { class: "part" }, h("summary", {}, "Several side by side"), first, second, button);
  const fill = (box, list) => {
    const value = box.value;
    box.replaceChildren(...list.map(([name, text]) => h("option", { value: name }, text)));
    if (list.some(([name]) => name === value)) box.value = value;
  };
  element.refresh = () => {
    fill(first.box, options(names()));
    fill(second.box, [["", "nothing else"], ...options(names().filter((name) => name !== first.box.value))]);
    button.disabled = !recipe.complete;
  };
  return element;
}

/** Every other value, so that two options make a sheet that can be taken in. */
function thinned(values) {
  return values.length <= 3 ? values : values.filter((_, place) => place % 2 === 0).slice(0, 4);
}

/** Files dropped anywhere: the first becomes what is missing. */
function dropsAnywhere() {
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  };
  const leave = (event) => event.relatedTarget === null && document.body.classList.remove("dropping");
  const drop = async (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    for (const picture of await uploadAll([...event.dataTransfer.files], (file) => showNotice(`Uploading ${file.name} …`))) {
      if (picture.clip || missing() === "content") pickContent(picture);
      else recipe.addStyle(picture);
    }
  };
  const end = () => document.body.classList.remove("dropping");
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", leave);
  document.addEventListener("drop", drop);
  document.addEventListener("drop", end, true);
  return () => {
    document.removeEventListener("dragover", over);
    document.removeEventListener("dragleave", leave);
    document.removeEventListener("drop", drop);
    document.removeEventListener("drop", end, true);
    end();
  };
}

export function show(root) {
  document.title = "Try – tilestyle studio";
  const stage = h("section", { class: "stage", "aria-label": "Picture", "data-key": "stage", tabindex: -1 });
  const draft = draftStage();
  const sheet = sheetStage(() => {
    drafts.closeSheet();
    drafts.ask();
  });
  const kinds = choice("What to make", { render: "Picture", texture: "Texture", ...(status.video ? { video: "Video" } : {}) }, (kind) => recipe.change({ kind }), { name: "kind" });
  const pictures = sources();
  const controls = ["strength", "style_scale", "color", "locality", "seed", "look", "tileable"].map(control);
  const beside = sideBySide();
  const make = h("a", { class: "button primary wide", href: "#/make" }, "Make it in full size");
  const panel = h(
    "section",
    { class: "panel", "aria-label": "Settings" },
    h("div", { class: "part" }, kinds),
    pictures,
    h("section", { class: "part", "aria-label": "Steering" }, controls),
    beside,
    h("div", { class: "foot" }, make),
  );
  root.append(stage, panel);

  let mode = null;
  let shown = false;
  function refresh() {
    const lack = missing();
    const next = lack ?? (drafts.sheet ? "sheet" : "draft");
    if (next !== mode) {
      mode = next;
      stage.classList.toggle("choosing", lack !== null);
      stage.classList.toggle("many", next === "sheet");
      stage.replaceChildren(lack ? chooser(lack, lack === "style" ? (picture) => recipe.addStyle(picture) : pickContent) : mode === "sheet" ? sheet : draft);
      if (shown) {
        // On a phone what is new may be above what is seen.
        document.scrollingElement.scrollTo({ top: 0 });
        refocus("stage");
      }
      shown = true;
    }
    if (mode === "sheet") sheet.refresh();
    if (mode === "draft") draft.refresh();
    kinds.show(recipe.kind);
    pictures.refresh();
    for (const one of controls) one.refresh();
    beside.refresh();
    make.toggleAttribute("aria-disabled", !recipe.complete);
    make.tabIndex = recipe.complete ? 0 : -1;
  }
  const onrecipe = () => {
    refresh();
    drafts.soon();
  };
  make.addEventListener("click", (event) => {
    if (recipe.complete) return;
    event.preventDefault();
    showNotice("Choose a photograph and a style first.");
  });
  recipe.addEventListener("change", onrecipe);
  drafts.addEventListener("change", refresh);
  const leaveDrafts = drafts.use();
  const leaveDrops = dropsAnywhere();
  refresh();
  drafts.ask({ again: !drafts.draft?.final });
  return () => {
    recipe.removeEventListener("change", onrecipe);
    drafts.removeEventListener("change", refresh);
    leaveDrafts();
    leaveDrops();
  };
}

