// Compare: two pictures over one another, with a line between them that can be moved.

import { get } from "./api.js";
import { h, icon } from "./dom.js";
import { isActive, jobs } from "./jobs.js";
import { showProblem } from "./lines.js";
import { Viewer } from "./viewer.js";
import { select } from "./controls.js";
import { zoomButtons } from "./zoom.js";

const STEP = 0.02;

function divider(move) {
  let share = 0.5;
  const handle = h("div", { class: "handle", role: "slider", tabindex: 0, "aria-label": "Line between the two pictures", "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal" }, icon("sides"));
  const element = h("div", { class: "divider" }, handle);
  const set = (value) => {
    share = Math.min(Math.max(value, 0), 1);
    element.style.setProperty("--share", `${100 * share}%`);
    handle.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    handle.setAttribute("aria-valuetext", `${Math.round(100 * share)} % of the width shows the left picture`);
    move(share);
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus();
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = element.parentElement.getBoundingClientRect();
    set((event.clientX - box.left) / box.width);
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -5 * STEP, PageUp: 5 * STEP, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    set(share + step);
  });
  element.set = set;
  element.again = () => move(share);
  return element;
}

export async function show(root, id, other) {
  document.title = "Compare – tilestyle studio";
  try {
    for (const side of [id, other]) if (side !== "content" && !jobs.get(side)) jobs.set(await get(`/api/jobs/${encodeURIComponent(side)}`));
  } catch (problem) {
    showProblem(problem);
    location.hash = "#/pictures";
    return () => {};
  }
  const job = jobs.get(id);
  const nameOf = (side) => (side === "content" ? "Photograph" : (jobs.get(side)?.name ?? "Picture"));
  const place = h("div", { class: "deep" });
  const left = h("span", { class: "tag left" }, nameOf(other));
  const right = h("span", { class: "tag right" }, job.name);
  const bar = h("div", { class: "bar" });
  let viewer = null;
  let below = null;
  let above = null;
  const line = divider((share) => {
    const viewport = viewer?.osd.viewport;
    if (!viewport) return;
    const width = viewport.getContainerSize().x;
    const x = viewport.pointFromPixel(new window.OpenSeadragon.Point(share * width, 0), true).x;
    below.clip(0, x);
    above.clip(x, 1);
  });
  const stage = h("section", { class: "stage comparing", "aria-label": "Comparison" }, place, line, left, right, bar);
  const candidates = jobs.list.filter((candidate) => !isActive(candidate) && candidate.formats?.length && !["video", "preview"].includes(candidate.kind));
  const lefts = [...((job.has_content ?? job.settings.content) ? [["content", "Photograph"]] : []), ...candidates.filter((candidate) => candidate.id !== id).map((candidate) => [candidate.id, candidate.name])];
  const rights = candidates.filter((candidate) => candidate.id !== other).map((candidate) => [candidate.id, candidate.name]);
  const leftBox = select("Left", lefts, (value) => { location.hash = `#/compare/${id}/${value}`; });
  const rightBox = select("Right", rights, (value) => { location.hash = `#/compare/${value}/${other}`; });
  leftBox.box.value = other;
  rightBox.box.value = id;
  root.append(
    stage,
    h(
      "section",
      { class: "panel", "aria-label": "What is compared" },
      h("div", { class: "part title" }, h("h1", {}, "Compare")),
      h("div", { class: "part" }, leftBox, rightBox, h("p", { class: "note" }, "Move the line; zoom with the wheel or two fingers. Both pictures move together.")),
      h("div", { class: "part" }, h("a", { class: "button wide", href: `#/picture/${encodeURIComponent(id)}` }, `Back to ${job.name}`)),
    ),
  );
  // Only now: a viewer needs to know how large its place is.
  viewer = new Viewer(place, "Two pictures over one another, to zoom into");
  below = viewer.layer();
  above = viewer.layer();
  bar.append(zoomButtons(viewer, { width: job.width }));
  const follow = () => line.again();
  viewer.osd.addHandler("update-viewport", follow);
  viewer.osd.addHandler("resize", follow);
  viewer.onlayer = () => {
    follow();
    stage.dataset.layers = String([below, above].filter((layer) => layer.item).length);
  };
  line.set(0.5);
  const pathOf = (side) => (side === "content" ? `/api/jobs/${encodeURIComponent(id)}/content` : `/api/jobs/${encodeURIComponent(side)}`);
  // One after the other: the upper layer lies on the lower one.
  below.show(pathOf(other)).then(() => viewer.closed || above.show(pathOf(id)));
  return () => viewer.close();
}
