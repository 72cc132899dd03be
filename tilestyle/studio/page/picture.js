// One picture: watch it being made, then compare, download, and see its settings.

import { get, getText, post, prepare } from "./api.js";
import { h, icon } from "./dom.js";
import { isActive, jobs } from "./jobs.js";
import { showProblem, showNotice, problemText } from "./lines.js";
import { described } from "./options.js";
import { recent, recipe } from "./recipe.js";
import { Viewer } from "./viewer.js";
import { bytes, duration, KINDS, percent, pixels, stateWord, when } from "./words.js";
import { zoomButtons } from "./zoom.js";

const PLACE = "tilestyle.place.";
const LIVE = 1500; // milliseconds between looks at a canvas that is being painted

/** A job with the names of its uploads, where this browser knows them. */
export function named(job) {
  const { settings } = job;
  const known = new Map(recent().map((picture) => [picture.source.upload, picture.name]));
  const withName = (source) => (source?.upload ? { ...source, name: source.name ?? known.get(source.upload) ?? null } : source);
  const styles = (settings.styles ?? []).map((style) => ({ ...style, source: withName(style.source) }));
  return { ...job, settings: { ...settings, content: withName(settings.content), styles } };
}

/** What a job makes; of a preview, what it is the preview of. */
function kindOf(job) {
  return job.kind !== "preview" ? job.kind : job.settings.content ? "render" : "texture";
}

/** Load the settings of a job into the page. */
export async function moreLikeThis(job) {
  try {
    const again = await post(`/api/jobs/${job.id}/again`);
    recipe.load(kindOf(job), again.settings ?? again, job.inputs);
  } catch (problem) {
    showProblem(problem);
    return;
  }
  location.hash = "#/try";
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard to write to; the old way still works.
    const area = h("textarea", { class: "unseen", readonly: true, value: text });
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) {
      showProblem({ message: `${what} could not be copied`, hint: "select the text and copy it by hand" });
      return;
    }
  }
  showNotice(`${what} copied.`);
}

function progressPart() {
  const word = h("strong", { class: "state" });
  const share = h("span", { class: "share" });
  const bar = h("progress", { max: 1, "aria-label": "How much is done" });
  const left = h("p", { class: "left" });
  const facts = h("dl", { class: "facts" });
  const problem = h("p", { class: "warning", role: "alert", hidden: true });
  const element = h("section", { class: "part", "aria-label": "Progress" }, h("div", { class: "head" }, word, share), bar, left, problem, facts);
  element.refresh = (job) => {
    const { progress } = job;
    const active = isActive(job);
    const begun = active && progress && job.state !== "queued";
    word.textContent = stateWord(job.state);
    bar.hidden = !begun;
    share.textContent = begun && progress.share !== null ? percent(progress.share) : "";
    if (progress && progress.share !== null) bar.value = progress.share;
    else bar.removeAttribute("value");
    left.textContent = job.state === "running" && progress?.seconds_left ? `about ${duration(progress.seconds_left)} left` : job.state === "queued" ? (job.position > 1 ? `${job.position - 1} before it.` : "It starts in a moment.") : job.state === "paused" ? "It takes no time of your machine now." : "";
    left.hidden = left.textContent === "";
    problem.hidden = !job.error;
    problem.textContent = job.error ? problemText({ message: job.error, hint: job.hint }) : "";
    const rows = [];
    if (job.width && job.height) rows.push(["Size", `${pixels(job.width, job.height)} pixels`]);
    if (begun) {
      if (progress.level && progress.levels) rows.push(["Level", `${progress.level} of ${progress.levels}`]);
      if (progress.sweep && progress.sweeps) rows.push(["Sweep", `${progress.sweep} of ${progress.sweeps}`]);
      if (progress.memory_bytes) rows.push(["Memory", progress.memory_promised ? `${bytes(progress.memory_bytes)} of ${bytes(progress.memory_promised)} promised` : bytes(progress.memory_bytes)]);
    }
    if (!active) rows.push(["Made", when(job.created)]);
    facts.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  };
  return element;
}

function actionsPart(id) {
  const act = (action) => async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    await jobs.act(jobs.get(id), action);
    button.disabled = false;
  };
  const pause = h("button", { onclick: act("pause") }, "Pause");
  const resume = h("button", { class: "primary", onclick: act("resume") }, "Resume");
  const stop = h("button", { onclick: act("stop"), title: "End here, and write the picture as it is" }, "Stop and write");
  const discard = h("button", {
    onclick: async () => {
      if (await jobs.discard(jobs.get(id))) location.hash = "#/pictures";
    },
  }, "Stop and discard");
  const element = h("div", { class: "part actions" }, pause, resume, stop, discard);
  element.refresh = (job) => {
    pause.hidden = !["running", "queued"].includes(job.state);
    resume.hidden = !(job.can_resume ?? job.state === "paused");
    stop.hidden = !["running", "paused"].includes(job.state);
    discard.hidden = !isActive(job) || job.state === "stopping";
    // A button that goes away must not take the focus with it.
    if (document.activeElement === document.body && element.dataset.focused) (resume.hidden ? pause : resume).focus();
    element.hidden = !isActive(job) && resume.hidden;
  };
  element.addEventListener("focusin", () => { element.dataset.focused = "yes"; });
  element.addEventListener("focusout", (event) => event.relatedTarget && delete element.dataset.focused);
  return element;
}

/** Ask for a file first: of a link that fails, a browser says nothing that helps. */
async function fetchFirst(event) {
  const link = event.currentTarget;
  if (link.dataset.ready || link.dataset.waiting) {
    if (!link.dataset.ready) event.preventDefault();
    return;
  }
  event.preventDefault();
  link.dataset.waiting = "yes";
  const later = setTimeout(() => showNotice(`${link.dataset.format.toUpperCase()} is being written. The download starts by itself.`), 600);
  try {
    await prepare(link.href);
    link.dataset.ready = "yes";
    link.click();
  } catch (problem) {
    showProblem(problem);
  } finally {
    clearTimeout(later);
    delete link.dataset.waiting;
  }
}

function downloads(job) {
  const link = (format, primary) =>
    h("a", { class: primary ? "button primary" : "button", "aria-label": `Download ${format.toUpperCase()}`, href: `/api/jobs/${job.id}/download?format=${encodeURIComponent(format)}`, download: "", "data-format": format, onclick: fetchFirst }, primary ? [icon("down"), "Download ", format.toUpperCase()] : format.toUpperCase());
  const [first, ...others] = job.formats;
  return h("div", { class: "downloads" }, link(first, job.kind !== "preview"), others.length ? h("div", { class: "row", role: "group", "aria-label": "Other formats" }, others.map((format) => link(format, false))) : null);
}

function finishedPart(id) {
  const element = h("div", { class: "part finished" });
  let shown = "";
  element.refresh = (job) => {
    const others = jobs.list.filter((other) => other.id !== id && !isActive(other) && other.formats?.length && other.kind !== "video" && other.kind !== "preview");
    const now = JSON.stringify([job.state, job.formats, job.has_content, others.map((other) => [other.id, other.name])]);
    if (now === shown) return;
    shown = now;
    const ready = job.formats?.length > 0;
    const comparable = ready && job.kind !== "video" && job.kind !== "preview";
    const compare = [];
    if (comparable && (job.has_content ?? job.settings.content)) compare.push(["content", "the photograph"]);
    if (comparable) compare.push(...others.map((other) => [other.id, other.name]));
    const box = h("select", { "aria-label": "Compare with", "data-field": "compare", onchange: () => box.value && (location.hash = `#/compare/${id}/${box.value}`) }, h("option", { value: "" }, "Compare with …"), compare.map(([value, text]) => h("option", { value }, text)));
    element.replaceChildren(
      ...[
        job.kind === "preview" ? h("button", { class: "primary wide", onclick: () => makeIt(job) }, "Make it in full size") : null,
        ready ? downloads(job) : null,
        compare.length ? box : null,
        h("div", { class: "row" }, job.kind === "preview" ? null : h("button", { onclick: () => moreLikeThis(job) }, "More like this"), h("button", {
          onclick: async () => {
            if (await jobs.discard(job)) location.hash = "#/pictures";
          },
        }, "Delete")),
      ].filter(Boolean),
    );
    element.hidden = isActive(job);
  };
  return element;
}

/** The details of a preview: each shows itself in the picture, at full size. */
function detailsPart(viewer) {
  const list = h("ul", { class: "details" });
  const element = h("section", { class: "part", "aria-label": "Details" }, h("h3", {}, "Details at full size"), list);
  const shown = new Set();
  element.refresh = (job) => {
    element.hidden = !job.crops?.length;
    if (isActive(job) || !viewer.home) return;
    (job.crops ?? []).forEach((crop, place) => {
      if (shown.has(crop.url)) return;
      shown.add(crop.url);
      viewer.addDetail(crop, job.width);
      list.append(h("li", {}, h("button", { class: "tile", "aria-label": `Show detail ${place + 1}`, onclick: () => viewer.lookAt(crop, job.width) }, h("img", { src: crop.url, alt: "" }))));
    });
  };
  return element;
}

/** From the preview of a print to the print. */
async function makeIt(job) {
  try {
    const again = await post(`/api/jobs/${job.id}/again`);
    recipe.load(kindOf(job), again.settings ?? again, job.inputs);
  } catch (problem) {
    showProblem(problem);
    return;
  }
  location.hash = "#/make";
}

function settingsPart(id) {
  const list = h("dl", { class: "facts" });
  const texts = h("div", { class: "texts" });
  const element = h("details", { class: "part" }, h("summary", {}, "Settings"), list, texts);
  const block = (title, what, text) =>
    h("section", {}, h("div", { class: "head" }, h("h3", {}, title), h("button", { class: "quiet", onclick: () => copy(text, what) }, "Copy")), h("pre", { tabindex: 0, "aria-label": title }, text));
  element.addEventListener("toggle", async () => {
    if (!element.open || texts.children.length) return;
    try {
      const [command, toml] = await Promise.all([getText(`/api/jobs/${id}/command`), getText(`/api/jobs/${id}/settings.toml`)]);
      texts.replaceChildren(block("As a command", "The command is", command.trim()), block("As a file (TOML)", "The settings are", toml.trim()));
    } catch (problem) {
      showProblem(problem);
    }
  });
  element.refresh = (job) => list.replaceChildren(...described(named(job)).flatMap(([name, value]) => [h("dt", {}, name[0].toUpperCase() + name.slice(1)), h("dd", {}, value)]));
  return element;
}

export async function show(root, id) {
  const path = `/api/jobs/${encodeURIComponent(id)}`;
  if (!jobs.get(id)) {
    try {
      jobs.set(await get(path));
    } catch (problem) {
      root.append(
        h("section", { class: "stage" }),
        h("section", { class: "panel" }, h("div", { class: "part" }, h("h2", {}, "This picture is not there"), h("p", {}, problem.status === 404 ? "It was deleted, or belongs to another folder." : problem.message), h("a", { class: "button primary wide", href: "#/pictures" }, "All pictures"))),
      );
      return () => {};
    }
  }
  const job = () => jobs.get(id);
  document.title = `${job().name} – tilestyle studio`;
  const place = h("div", { class: "deep" });
  const wait = h("p", { class: "waiting" }, "The canvas is being prepared …");
  const bar = h("div", { class: "bar" });
  const stage = h("section", { class: "stage", "aria-label": "Picture" }, place, wait, bar);
  const title = h("h1", {}, job().name);
  const kind = h("p", { class: "kind" }, KINDS[job().kind] ?? job().kind);
  const panel = h("section", { class: "panel", "aria-label": "About this picture" }, h("div", { class: "part title" }, title, kind));
  root.append(stage, panel);

  const viewer = new Viewer(place, `${job().name}, to zoom into`);
  const layer = viewer.layer();
  const parts = [progressPart(), actionsPart(id), detailsPart(viewer), finishedPart(id), settingsPart(id)];
  panel.append(...parts);
  const dpi = job().dpi ?? (job().settings.options?.paper ? (job().settings.options.dpi ?? 300) : null);
  bar.append(zoomButtons(viewer, { width: job().width, dpi }));
  viewer.onfirst = () => {
    wait.hidden = true;
    try {
      const kept = JSON.parse(sessionStorage.getItem(PLACE + id));
      if (Array.isArray(kept)) viewer.place = kept;
    } catch {
      // No place kept: all of it is shown.
    }
  };
  viewer.onlayer = () => {
    stage.dataset.revision = layer.info.revision;
    refresh();
  };
  const keepPlace = () => viewer.place && sessionStorage.setItem(PLACE + id, JSON.stringify(viewer.place));
  viewer.osd.addHandler("animation-finish", keepPlace);
  window.addEventListener("pagehide", keepPlace);

  let revision = null;
  let film = null;
  let timer = 0;
  function look() {
    const now = job();
    if (!now) return;
    if (now.kind === "video" && now.formats?.length && !film) {
      film = h("video", { class: "film", controls: true, loop: true, playsinline: true, src: `${path}/download?format=${encodeURIComponent(now.formats[0])}`, "aria-label": now.name });
      wait.hidden = true;
      bar.hidden = true;
      place.after(film);
      return;
    }
    if (film || now.revision === revision || !(now.has_tiles ?? now.revision > 0)) return;
    revision = now.revision;
    layer.show(path, { quiet: isActive(now) }).then((shown) => {
      // There is no canvas yet, or another look was under way: look again when there is something new.
      if (!shown && revision === now.revision && !layer.loading) revision = null;
    });
  }
  let state = null;
  function refresh() {
    const now = job();
    if (!now) {
      location.hash = "#/pictures";
      return;
    }
    for (const part of parts) part.refresh(now);
    const running = isActive(now) && now.state !== "queued" && now.progress?.share !== null && now.progress;
    document.title = `${running ? `${percent(now.progress.share)} ` : ""}${now.name} – tilestyle studio`;
    wait.textContent = now.state === "queued" ? "Waiting for its turn …" : now.state === "failed" ? "Nothing was painted." : "The canvas is being prepared …";
    if (now.state !== state) {
      state = now.state;
      revision = null;
    }
    if (!timer) {
      look();
      timer = setTimeout(() => {
        timer = 0;
        look();
      }, LIVE);
    }
  }
  jobs.addEventListener("change", refresh);
  refresh();
  return () => {
    clearTimeout(timer);
    jobs.removeEventListener("change", refresh);
    window.removeEventListener("pagehide", keepPlace);
    keepPlace();
    viewer.close();
  };
}
