// Pictures: what is being made, and all that was made.

import { h } from "./dom.js";
import { showProblem } from "./lines.js";
import { isActive, jobs } from "./jobs.js";
import { described } from "./options.js";
import { moreLikeThis, named } from "./picture.js";
import { bytes, duration, KINDS, percent, pixels, stateWord, when } from "./words.js";
import { loadStatus, status } from "./status.js";

function summary(job) {
  return described(named(job))
    .filter(([name]) => !["photograph", "size"].includes(name))
    .map(([name, value]) => (name === "style" || name === "styles" ? value : `${name} ${value}`))
    .join(" · ");
}

function card(job) {
  const image = h("img", { alt: "", loading: "lazy", onerror: () => { image.hidden = true; }, onload: () => { image.hidden = false; } });
  const name = h("span", { class: "name" });
  const state = h("span", { class: "state" });
  const bar = h("progress", { max: 1, "aria-hidden": "true" });
  const facts = h("span", { class: "facts-line" });
  const settings = h("span", { class: "settings-line" });
  const link = h("a", { class: "card", href: `#/picture/${encodeURIComponent(job.id)}` }, h("span", { class: "picture" }, image), h("span", { class: "text" }, name, state, bar, facts, settings));
  const more = h("button", { class: "quiet", onclick: () => moreLikeThis(jobs.get(job.id)) }, "More like this");
  const element = h("li", {}, link, more);
  let shown = "";
  element.refresh = (now) => {
    const active = isActive(now);
    const begun = active && now.progress && now.state !== "queued";
    name.textContent = now.name;
    state.textContent = active ? [stateWord(now.state), begun && now.progress.share !== null ? percent(now.progress.share) : "", now.state === "running" && now.progress?.seconds_left ? `about ${duration(now.progress.seconds_left)} left` : ""].filter(Boolean).join(" · ") : now.state === "done" ? "" : stateWord(now.state);
    state.hidden = state.textContent === "";
    bar.hidden = !begun;
    if (now.progress && now.progress.share !== null) bar.value = now.progress.share;
    facts.textContent = [now.kind === "render" ? "" : (KINDS[now.kind] ?? now.kind), now.width ? pixels(now.width, now.height) : "", active ? "" : when(now.created)].filter(Boolean).join(" · ");
    settings.textContent = summary(now);
    more.hidden = now.kind === "preview";
    more.setAttribute("aria-label", `More like ${now.name}`);
    // Of a running job once every few revisions: a thumbnail is enough.
    const source = `/api/jobs/${encodeURIComponent(now.id)}/thumbnail?size=512&revision=${active ? Math.floor((now.revision ?? 0) / 4) * 4 : now.revision}`;
    if (source !== shown && now.state !== "queued") {
      shown = source;
      const next = new Image();
      next.onload = () => shown === source && (image.src = source);
      next.onerror = () => image.getAttribute("src") || (image.hidden = true);
      next.src = source;
    }
  };
  element.refresh(job);
  return element;
}

export function show(root) {
  document.title = "Pictures – tilestyle studio";
  root.classList.add("single");
  const running = h("ul", { class: "cards" });
  const done = h("ul", { class: "cards" });
  const runningPart = h("section", { "aria-label": "Being made" }, h("h2", {}, "Being made"), running);
  const donePart = h("section", { "aria-label": "Made" }, h("h2", {}, "Made"), done);
  const nothing = h("div", { class: "nothing" }, h("h2", {}, "No pictures yet"), h("p", {}, "What you make is kept here, with its settings."), h("a", { class: "button primary", href: "#/try" }, "Make the first one"));
  const space = h("p", { class: "note space" });
  root.append(h("div", { class: "gallery" }, runningPart, donePart, nothing, space));
  const cards = new Map();

  function fill(list, items) {
    const wanted = items.map((job) => {
      if (!cards.has(job.id)) cards.set(job.id, card(job));
      const element = cards.get(job.id);
      element.refresh(job);
      return element;
    });
    const same = wanted.length === list.children.length && wanted.every((element, place) => list.children[place] === element);
    if (!same) list.replaceChildren(...wanted);
  }
  function refresh() {
    const active = jobs.active;
    const finished = jobs.list.filter((job) => !isActive(job));
    fill(running, active);
    fill(done, finished);
    runningPart.hidden = active.length === 0;
    donePart.hidden = finished.length === 0;
    nothing.hidden = !jobs.loaded || active.length + finished.length > 0;
  }
  jobs.addEventListener("change", refresh);
  refresh();
  const saySpace = () => {
    if (!status.storage?.cap) return;
    space.textContent = `${bytes(status.storage.used)} of ${bytes(status.storage.cap)} used in ${status.root}. When it is full, the oldest are deleted: download what you want to keep.`;
  };
  saySpace();
  loadStatus().then(saySpace, showProblem);
  return () => jobs.removeEventListener("change", refresh);
}
