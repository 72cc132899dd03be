// Make: how large, on what paper, what it takes; then start.

import { post } from "./api.js";
import { choice, control, field, select } from "./controls.js";
import { debounced, h } from "./dom.js";
import { drafts } from "./drafts.js";
import { showProblem, removeLine, problemText } from "./lines.js";
import { recipe } from "./recipe.js";
import { status } from "./status.js";
import { jobs } from "./jobs.js";
import { bytes, duration, pixels } from "./words.js";

const CUSTOM = "custom";
const PRINT_OPTIONS = ["paper", "bleed", "dpi", "fit", "stroke"];
const OWN_SIZE = /^([\d.]+)x([\d.]+)(mm|cm|in)$/;
const MILLIMETERS = { mm: 1, cm: 10, in: 25.4 };

const isPrint = () => recipe.options.paper !== undefined;

/** The paper in millimeters, as it will lie under this picture: {width, height}. */
function paperSize(landscape) {
  const name = String(recipe.options.paper ?? "");
  const own = OWN_SIZE.exec(name);
  if (own) return { width: own[1] * MILLIMETERS[own[3]], height: own[2] * MILLIMETERS[own[3]] };
  const [base, turned] = name.split(/-(?=landscape$|portrait$)/);
  const paper = status.papers.find((each) => each.name === base);
  if (!paper) return null;
  const [short, long] = [Math.min(paper.width_mm, paper.height_mm), Math.max(paper.width_mm, paper.height_mm)];
  const lies = turned ? turned === "landscape" : landscape;
  return lies ? { width: long, height: short } : { width: short, height: long };
}

function millimeters(text) {
  const match = /^([\d.]+)(mm|cm|in)$/.exec(String(text ?? ""));
  return match ? match[1] * MILLIMETERS[match[2]] : 0;
}

/** The draft as it will lie on its paper, with the line of the cut. */
function paperStage() {
  const image = h("img", { alt: "The draft on its paper", draggable: "false" });
  const cut = h("div", { class: "cut", hidden: true });
  const sheet = h("div", { class: "paper" }, image, cut);
  const across = h("span", { class: "measure across" });
  const down = h("span", { class: "measure down" });
  const stand = h("div", { class: "stand" }, sheet, across, down);
  const statusLine = h("p", { class: "status-line", role: "status" });
  const element = h("div", { class: "paper-stage" }, stand, h("div", { class: "bar" }, statusLine));
  element.refresh = (estimate) => {
    const { draft } = drafts;
    if (draft && image.getAttribute("src") !== draft.url) image.setAttribute("src", draft.url);
    image.hidden = !draft;
    const known = draft ?? estimate ?? recipe.content;
    const ratio = (known?.width ?? 1) / (known?.height ?? 1);
    const paper = isPrint() ? paperSize(ratio > 1) : null;
    const whole = estimate ? { width: estimate.width, height: estimate.height } : null;
    const shape = paper ?? whole ?? { width: ratio, height: 1 };
    const bleed = paper ? millimeters(recipe.options.bleed) : 0;
    const width = shape.width + 2 * bleed;
    const height = shape.height + 2 * bleed;
    stand.style.setProperty("--ratio", String(width / height));
    sheet.classList.toggle("printed", Boolean(paper));
    image.className = !paper ? "fill" : { contain: "contain", exact: "fill" }[recipe.options.fit] ?? "cover";
    cut.hidden = bleed === 0;
    cut.style.setProperty("--x", `${(100 * bleed) / width}%`);
    cut.style.setProperty("--y", `${(100 * bleed) / height}%`);
    const unit = paper ? "mm" : "px";
    const round = (number) => Math.round(number).toLocaleString("en-US");
    across.textContent = paper || whole ? `${round(shape.width)} ${unit}` : "";
    down.textContent = paper || whole ? `${round(shape.height)} ${unit}` : "";
    statusLine.textContent = bleed ? `The paper, with ${bleed} mm at every edge to be cut off` : paper ? "The picture on its paper" : "";
  };
  return element;
}

function sizeFields(refreshers) {
  const side = field("Long side, px", { type: "number", min: 16, step: 1, inputmode: "numeric", "data-option": "size", placeholder: "as the photograph", list: "sides" }, null);
  side.append(h("datalist", { id: "sides" }, [1024, 2048, 4096, 8192].map((value) => h("option", { value }))));
  side.input.addEventListener("input", () => side.input.validity.valid && recipe.setOption("size", side.input.value === "" ? undefined : Number(side.input.value)));
  const wide = field("Size", { "data-option": "texture-size", placeholder: "1024x1024", pattern: "\\d+(x\\d+)?" });
  wide.input.after(h("span", { class: "unit" }, "pixels"));
  wide.input.addEventListener("input", () => {
    const text = wide.input.value.trim().replace(/\s*[×*]\s*/, "x");
    if (/^(\d+(x\d+)?)?$/.test(text)) recipe.setOption("size", text === "" ? undefined : /x/.test(text) ? text : Number(text));
  });
  refreshers.push(() => {
    side.hidden = isPrint() || recipe.kind === "texture";
    wide.hidden = isPrint() || recipe.kind !== "texture";
    side.input.placeholder = recipe.kind === "video" ? "as the clip" : "as the photograph";
    const size = recipe.options.size ?? "";
    if (document.activeElement !== side.input) side.input.value = typeof size === "number" ? size : "";
    if (document.activeElement !== wide.input) wide.input.value = size;
  });
  return [side, wide];
}

function printFields(refreshers) {
  const papers = [...status.papers.map((paper) => [paper.name, paperWords(paper)]), [CUSTOM, "another size …"]];
  let own = OWN_SIZE.test(recipe.options.paper ?? "");
  const setPaper = () => {
    own = paper.box.value === CUSTOM;
    if (own) recipe.setOption("paper", OWN_SIZE.test(size.input.value) ? size.input.value : "30x40cm");
    else recipe.setOption("paper", paper.box.value + (turn.box.value ? `-${turn.box.value}` : ""));
  };
  const paper = select("Paper", papers, setPaper, { "data-option": "paper" });
  const size = field("Width x height", { "data-option": "own-paper", pattern: "[\\d.]+x[\\d.]+(mm|cm|in)", placeholder: "30x40cm" });
  size.input.addEventListener("input", () => {
    const text = size.input.value.trim().replace(/\s*[×*]\s*/, "x").replaceAll(" ", "");
    if (OWN_SIZE.test(text)) recipe.setOption("paper", text);
  });
  const turn = select("Orientation", [["", "as the photograph"], ["portrait", "portrait"], ["landscape", "landscape"]], setPaper);
  const numeric = (label, name, unit, placeholder, note = null) => {
    const one = field(label, { type: "number", min: 0, step: "any", inputmode: "decimal", "data-option": name, placeholder }, note);
    one.input.after(h("span", { class: "unit" }, unit));
    return one;
  };
  const bleed = numeric("Bleed", "bleed", "mm", "0", "Extra picture at every edge, to be cut off.");
  const stroke = numeric("Stroke width", "stroke", "mm", "as in draft");
  const dpi = numeric("Resolution", "dpi", "dpi", "300");
  for (const [one, name] of [[bleed, "bleed"], [stroke, "stroke"]]) {
    one.input.addEventListener("input", () => one.input.validity.valid && recipe.setOption(name, Number(one.input.value) > 0 ? `${one.input.value}mm` : undefined));
  }
  dpi.input.addEventListener("input", () => dpi.input.validity.valid && recipe.setOption("dpi", Number(dpi.input.value) > 0 ? Number(dpi.input.value) : undefined));
  const fit = choice("If the shapes differ", { cover: "Fill, crop", contain: "Show all", exact: "Stretch" }, (value) => recipe.setOption("fit", value === "cover" ? undefined : value), {
    name: "fit",
    about: {
      cover: "Cover: the photograph is cropped to the shape of the paper.",
      contain: "Contain: the picture is smaller than the paper.",
      exact: "Exact: the picture is distorted.",
    },
  });
  const all = [paper, size, turn, bleed, stroke, dpi, fit];
  refreshers.push(() => {
    for (const one of all) one.hidden = !isPrint();
    if (!isPrint()) return;
    const name = String(recipe.options.paper);
    own = OWN_SIZE.test(name);
    const [base, turned] = name.split(/-(?=landscape$|portrait$)/);
    paper.box.value = own ? CUSTOM : base;
    turn.box.value = turned ?? "";
    size.hidden = !own;
    turn.hidden = own;
    if (own && document.activeElement !== size.input) size.input.value = name;
    fit.hidden = recipe.kind === "texture";
    for (const [one, value] of [[bleed, recipe.options.bleed], [stroke, recipe.options.stroke]]) {
      if (document.activeElement !== one.input) one.input.value = value ? millimeters(value) || "" : "";
    }
    if (document.activeElement !== dpi.input) dpi.input.value = recipe.options.dpi ?? "";
    fit.show(recipe.options.fit ?? "cover");
  });
  return all;
}

function paperWords(paper) {
  const round = (length) => Number(Number(length).toFixed(1));
  return `${paper.name}, ${round(paper.width_mm)} × ${round(paper.height_mm)} mm`;
}

function estimateRows(estimate) {
  const rows = [["Size", `${pixels(estimate.width, estimate.height)} px`]];
  if (estimate.seconds !== null && estimate.seconds !== undefined) rows.push(["Time", `about ${duration(estimate.seconds)}`]);
  if (estimate.memory_bytes) rows.push(["Memory", bytes(estimate.memory_bytes)]);
  if (estimate.disk_bytes) rows.push(["Disk", bytes(estimate.disk_bytes)]);
  return [
    h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    ...(estimate.warnings ?? []).map((warning) => h("p", { class: "warning" }, problemText(warning))),
  ];
}

export function show(root) {
  document.title = "Make – tilestyle studio";
  const stage = h("section", { class: "stage", "aria-label": "Picture" });
  if (!recipe.complete) {
    root.append(
      stage,
      h(
        "section",
        { class: "panel", "aria-label": "Settings" },
        h("div", { class: "part" }, h("h2", {}, "Nothing to make yet"), h("p", {}, "Choose a photograph and a style first."), h("a", { class: "button primary wide", href: "#/try" }, "Choose pictures")),
      ),
    );
    return () => {};
  }
  const refreshers = [];
  let estimate = null;
  const paper = paperStage();
  stage.append(paper);
  const target = choice("For", { screen: "Screen", paper: "Paper" }, (value) => {
    if (value === "paper") recipe.setOptions({ paper: status.papers.some((paper) => paper.name === "A3") ? "A3" : status.papers[0]?.name ?? "30x40cm", size: undefined });
    else recipe.setOptions(Object.fromEntries(PRINT_OPTIONS.map((name) => [name, undefined])));
  }, { name: "target" });
  refreshers.push(() => {
    target.hidden = recipe.kind === "video";
    target.show(isPrint() ? "paper" : "screen");
  });
  const sizes = sizeFields(refreshers);
  const prints = printFields(refreshers);
  const care = control("quality");
  const repeats = control("tileable");
  refreshers.push(() => care.refresh(), () => repeats.refresh());
  const depth = select("Colors", [["", "8 bits"], ["16", "16 bits, for TIFF and PNG"]], (value) => recipe.setOption("depth", value ? Number(value) : undefined), { "data-option": "depth" });
  refreshers.push(() => {
    depth.hidden = recipe.kind === "video";
    depth.box.value = recipe.options.depth === 16 ? "16" : "";
  });
  const name = field("Name", { placeholder: "after its pictures", maxlength: 80, "data-field": "name" });
  const takes = h("div", { class: "takes", "aria-live": "polite" });
  const preview = h("button", { class: "wide", onclick: () => begin("preview") }, "Preview with details at true size");
  const start = h("button", { class: "primary wide", onclick: () => begin(recipe.kind) }, "Start");

  async function begin(kind) {
    start.disabled = preview.disabled = true;
    try {
      const text = name.input.value.trim();
      const job = await post("/api/jobs", { kind, settings: recipe.settings(), ...(text ? { name: text } : {}) });
      jobs.set(job);
      location.hash = `#/picture/${job.id}`;
    } catch (problem) {
      showProblem(problem, "start");
    } finally {
      start.disabled = preview.disabled = false;
    }
  }

  let request = null;
  const ask = debounced(300, async () => {
    request?.abort();
    request = new AbortController();
    try {
      estimate = await post("/api/estimate", { kind: recipe.kind, settings: recipe.settings() }, request.signal);
      takes.replaceChildren(...estimateRows(estimate));
      removeLine("start");
    } catch (problem) {
      if (problem.name === "AbortError") return;
      estimate = null;
      takes.replaceChildren(h("p", { class: "warning" }, problemText(problem)));
    }
    takes.classList.remove("old");
    start.disabled = preview.disabled = estimate === null;
    paper.refresh(estimate);
  });

  const panel = h(
    "section",
    { class: "panel", "aria-label": "Settings" },
    h("div", { class: "part" }, target, sizes, prints, repeats),
    h("div", { class: "part" }, care, depth, name),
    h("div", { class: "foot" }, h("section", { "aria-label": "What it will take" }, takes), preview, start),
  );
  root.append(stage, panel);

  function refresh() {
    for (const one of refreshers) one();
    preview.hidden = recipe.kind === "video";
    paper.refresh(estimate);
  }
  const onrecipe = () => {
    refresh();
    takes.classList.add("old");
    ask();
    drafts.soon();
  };
  const ondraft = () => paper.refresh(estimate);
  recipe.addEventListener("change", onrecipe);
  drafts.addEventListener("change", ondraft);
  const leaveDrafts = drafts.use();
  takes.append(h("p", { class: "note" }, "Being worked out …"));
  refresh();
  ask();
  drafts.ask({ again: !drafts.draft?.final });
  return () => {
    ask.cancel();
    request?.abort();
    recipe.removeEventListener("change", onrecipe);
    drafts.removeEventListener("change", ondraft);
    leaveDrafts();
  };
}
