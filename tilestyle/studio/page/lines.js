// What the page has to say: one line, and what to do. And the question before something is lost.

import { h, icon } from "./dom.js";

function sentence(text) {
  const trimmed = String(text).trim();
  if (trimmed === "") return "";
  const first = /^[a-z]+[ ,]/.test(trimmed) ? trimmed[0].toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** A problem as text: what is wrong, and what to do. */
export function problemText(problem) {
  return [sentence(problem.message ?? problem.error ?? problem), problem.hint ? sentence(problem.hint) : ""].join(" ").trim();
}

function show(text, role, key) {
  const place = document.getElementById("lines");
  for (const old of place.children) if (old.dataset.key === key) old.remove();
  const line = h(
    "div",
    { class: `line ${role}`, role, "data-key": key },
    h("span", {}, text),
    h("button", { class: "quiet square", "aria-label": "Close this message", onclick: () => line.remove() }, icon("close")),
  );
  place.append(line);
  while (place.children.length > 3) place.firstChild.remove();
  return line;
}

/** Say what went wrong. One with the same key takes the place of the one before. */
export function showProblem(problem, key = problemText(problem)) {
  if (problem?.name === "AbortError") return;
  if (!(problem instanceof Error && !("hint" in problem))) show(problemText(problem), "alert", key);
  else {
    console.error(problem);
    show("Something in this page went wrong. Reload it; nothing is lost.", "alert", key);
  }
}

/** Say something that passes. */
export function showNotice(text) {
  const line = show(text, "status", text);
  setTimeout(() => line.remove(), 4000);
}

export function removeLine(key) {
  for (const old of document.getElementById("lines").children) if (old.dataset.key === key) old.remove();
}

/** Ask before something is lost; resolves to whether to do it. */
export function confirmLoss(question, detail, yes, no) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "ask", "aria-label": question },
      h("h2", {}, question),
      h("p", {}, detail),
      h(
        "div",
        { class: "row end" },
        h("button", { autofocus: true, onclick: () => dialog.close("no") }, no),
        h("button", { class: "primary", onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
