// The page: which view is shown, and what is always there.

import { h } from "./dom.js";
import { showProblem } from "./lines.js";
import { jobs } from "./jobs.js";
import { loadStatus } from "./status.js";
import { percent } from "./words.js";
import * as attempt from "./try.js";
import * as compare from "./compare.js";
import * as gallery from "./gallery.js";
import * as make from "./make.js";
import * as picture from "./picture.js";

const VIEWS = { try: attempt, make, pictures: gallery, picture, compare };
const TABS = { try: "#/try", make: "#/make", pictures: "#/pictures", picture: "#/pictures", compare: "#/pictures" };

let leave = () => {};
let turn = 0;

async function route() {
  const [name, ...values] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const view = VIEWS[name] ? name : "try";
  const mine = ++turn;
  leave();
  leave = () => {};
  // A place of its own: a view that still waits for the server when it is left fills one that nobody sees.
  const root = h("div", { class: `view ${view}` });
  document.getElementById("view").replaceChildren(root);
  for (const dialog of document.querySelectorAll("dialog")) dialog.close("no");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === TABS[view]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const done = await VIEWS[view].show(root, ...values);
  // A link or button that was left with its view must not take the focus with it.
  if (mine > 1 && mine === turn && !root.contains(document.activeElement)) document.getElementById("view").focus({ preventScroll: true });
  // The user may have gone on while the view was still asking the server.
  if (mine !== turn) done();
  else leave = done;
}

function showRunning() {
  const link = document.getElementById("running");
  const active = jobs.active;
  link.hidden = active.length === 0;
  if (!active.length) return;
  const [first] = active;
  const share = first.state !== "queued" && first.progress && first.progress.share !== null ? percent(first.progress.share) : "";
  const more = active.length > 1 ? ` +${active.length - 1}` : "";
  const word = { paused: "Paused", queued: "Waiting", stopping: "Writing" }[first.state] ?? "Rendering";
  const rest = `${share}${more}`.trim();
  // On a phone there is no room for the word, unless it is all there is.
  link.replaceChildren(h("span", { class: rest ? "word" : "" }, word, rest ? " " : ""), rest);
  link.href = `#/picture/${encodeURIComponent(first.id)}`;
  link.setAttribute("aria-label", `${word} ${rest}: ${first.name}`);
}

async function start() {
  jobs.addEventListener("change", showRunning);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("view").focus();
  });
  try {
    await Promise.all([loadStatus(), jobs.start()]);
  } catch (problem) {
    showProblem(problem, "start");
    setTimeout(start, 3000);
    jobs.stream?.close();
    return;
  }
  window.addEventListener("hashchange", () => {
    // Names of files hold anything; a link that was cut off in the middle must not break the page.
    route().catch((problem) => showProblem(problem));
  });
  await route().catch((problem) => showProblem(problem));
}

window.addEventListener("unhandledrejection", (event) => showProblem(event.reason));
start();
