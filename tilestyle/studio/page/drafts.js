// Drafts of what is chosen. Each change asks for another one; the one before is cancelled by the server.

import { post, Stream } from "./api.js";
import { debounced } from "./dom.js";
import { showProblem, removeLine } from "./lines.js";
import { recipe } from "./recipe.js";

const SESSION = "tilestyle.session";
// What only matters for the full picture: a draft is as large as the server likes. The page shows the paper itself;
// only strokes in millimeters need to know it.
const NOT_IN_DRAFTS = ["size", "quality", "sweeps", "bleed", "depth"];
const PAPER = ["paper", "dpi", "fit"];

function draftSettings() {
  return recipe.settings(recipe.options.stroke ? NOT_IN_DRAFTS : [...NOT_IN_DRAFTS, ...PAPER]);
}

function session() {
  // A tab's own: two tabs would cancel each other's drafts.
  let name = sessionStorage.getItem(SESSION);
  if (!/^[a-z0-9]{16}$/.test(name ?? "")) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte % 36).toString(36)).join("");
    sessionStorage.setItem(SESSION, name);
  }
  return name;
}

/** The newest draft, and the cells of the newest sheet. Says `change` when there is something new. */
class Drafts extends EventTarget {
  session = session();
  draft = null; // the newest picture: {revision, url, width, height, final, seconds}
  waiting = false; // whether the draft is not yet that of the settings
  failed = false;
  wantedRevision = 0;
  sheet = null; // {revision, cells: [{index, options, url}]}
  earlyCells = new Map(); // cells that arrived before the answer that names them
  lastRequest = "";
  subject = null; // what the draft is of
  request = null;
  stream = null;
  users = 0;
  wasConnected = false; // whether the stream has been open before

  /** Listen to the server while a view needs drafts; returns how to stop. */
  use() {
    this.users += 1;
    if (!this.stream) {
      this.stream = new Stream(`/api/drafts/${this.session}/events`, {
        draft: (draft) => this.onDraft(draft),
        cell: (cell) => this.onCell(cell),
        problem: (problem) => this.onProblem(problem),
      }, (connected) => connected && this.onConnected());
    }
    return () => {
      this.users -= 1;
      setTimeout(() => {
        if (this.users > 0) return;
        this.stream?.close();
        this.stream = null;
        this.wasConnected = false;
      }, 100);
    };
  }

  /** The server forgets drafts that nobody looks at: after a break they are asked for once more. */
  onConnected() {
    if (this.wasConnected && !this.sheet && !this.draft?.final) this.ask({ again: true });
    this.wasConnected = true;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  onDraft(draft) {
    if (!draft || draft.revision < this.wantedRevision) return;
    this.draft = draft;
    this.waiting = false;
    this.failed = false;
    removeLine("draft");
    this.changed();
  }

  onProblem(problem) {
    if (!problem || problem.revision < this.wantedRevision) return;
    if (problem.index !== undefined && problem.index !== null && this.sheet) {
      const failed = this.sheet.cells.find((cell) => cell.index === problem.index);
      if (failed) failed.failed = true;
    }
    this.waiting = false;
    this.failed = true;
    showProblem({ message: problem.error, hint: problem.hint }, "draft");
    this.changed();
  }

  onCell(cell) {
    if (!cell) return;
    if (this.sheet?.revision === cell.revision) {
      const known = this.sheet.cells.find(({ index }) => index === cell.index);
      if (known) known.url = cell.url;
      this.changed();
    } else this.earlyCells.set(`${cell.revision}/${cell.index}`, cell.url);
  }

  /** Ask for a draft of the recipe, unless it is the one that was asked for last. */
  async ask({ again = false } = {}) {
    later.cancel();
    if (!recipe.complete) return;
    const body = { session: this.session, settings: draftSettings() };
    const text = JSON.stringify(body);
    if (text === this.lastRequest && !again) return;
    const subject = JSON.stringify([recipe.kind, body.settings.content]);
    // The draft before is shown while this one is made, unless it is of something else.
    if (this.subject !== null && subject !== this.subject) this.draft = null;
    this.subject = subject;
    this.lastRequest = text;
    this.waiting = true;
    this.failed = false;
    this.changed();
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    try {
      const answer = await post("/api/drafts", body, request.signal);
      this.wantedRevision = answer.revision; // not always more than before: a server that was started again counts from 1
      removeLine("draft");
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.lastRequest = "";
      this.waiting = false;
      this.failed = true;
      showProblem(problem, "draft");
      this.changed();
    }
  }

  /** Ask for several settings side by side. */
  async askSheet(vary) {
    later.cancel();
    const body = { session: this.session, settings: draftSettings(), vary };
    this.earlyCells.clear();
    try {
      const answer = await post("/api/sheets", body);
      this.lastRequest = "";
      this.wantedRevision = answer.revision; // not always more than before: a server that was started again counts from 1
      const cells = answer.cells.map((cell) => ({ ...cell, url: cell.url ?? this.earlyCells.get(`${answer.revision}/${cell.index}`) ?? null }));
      this.sheet = { revision: answer.revision, vary, cells };
      this.changed();
    } catch (problem) {
      showProblem(problem, "draft");
    }
  }

  closeSheet() {
    this.sheet = null;
    this.changed();
  }

  soon() {
    later();
  }
}

export const drafts = new Drafts();
const later = debounced(220, () => drafts.ask());
