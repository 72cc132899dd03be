// Choosing pictures: drop a file, choose one, or take an included one.

import { upload } from "./api.js";
import { h, refocus } from "./dom.js";
import { showProblem } from "./lines.js";
import { forgetRecent, fromIncluded, fromUpload, recent, remember, thumbnail } from "./recipe.js";
import { status } from "./status.js";
import { bytes, percent } from "./words.js";

const SMALL = 320; // long side of the copies of pictures, pixels

const ROLES = {
  content: { title: "Choose a photograph", drop: "Drop a photograph here", clip: "Drop a photograph or a video clip here", accept: "image/*", many: false, included: () => status.pictures.photographs },
  clip: { title: "Choose a clip", drop: "Drop a video clip here", accept: "video/*", many: false, included: () => [] },
  style: { title: "Choose a style", drop: "Drop a painting, a drawing, any picture", accept: "image/*", many: true, included: () => status.pictures.styles },
};

/** Upload files one after another; returns the pictures that arrived. */
export async function uploadAll(files, progress = () => {}) {
  const pictures = [];
  for (const file of files) {
    const limit = status.limits?.bytes;
    if (limit && file.size > limit) {
      showProblem({ message: `${file.name} has ${bytes(file.size)}, and the studio takes ${bytes(limit)}`, hint: "choose a smaller file" });
      continue;
    }
    if (file.size === 0) {
      showProblem({ message: `${file.name} is empty or a folder`, hint: "choose a picture file" });
      continue;
    }
    try {
      progress(file, 0);
      const picture = fromUpload(await upload(file, (share) => progress(file, share)));
      remember(picture);
      pictures.push(picture);
    } catch (problem) {
      showProblem({ message: `${file.name}: ${problem.message}`, hint: problem.hint });
    }
  }
  return pictures;
}

/** A small picture with a name. One that the server no longer has calls `gone`. */
export function thumb(picture, size, gone = () => {}) {
  const image = h("img", { src: thumbnail(picture, size), alt: "", loading: "lazy", draggable: "false", onerror: () => gone() });
  return image;
}

/**
 * What to choose from. `pick` gets one picture after the other.
 */
export function chooser(role, pick) {
  const { title, clip, many, included } = ROLES[role];
  // A clip in place of a photograph makes a video.
  const both = Boolean(clip) && status.video;
  const accept = both ? "image/*,video/*" : ROLES[role].accept;
  const drop = both ? clip : ROLES[role].drop;
  // Nothing can be dropped with a finger.
  const [first, other] = window.matchMedia("(pointer: coarse)").matches ? [both ? "Your own photograph or clip" : "Your own", "choose a file"] : [drop, "or choose a file"];
  const word = h("strong", {}, first);
  const second = h("span", {}, other);
  const input = h("input", { type: "file", accept, multiple: many, class: "unseen", "data-role": role, "aria-label": `${title}: upload a file` });
  const well = h("label", { class: "well" }, input, word, second);

  async function take(files) {
    const list = [...files];
    if (!list.length) return;
    well.classList.add("busy");
    const chosen = many ? list : list.slice(0, 1);
    const pictures = await uploadAll(chosen, (file, share) => {
      word.textContent = file.name;
      second.textContent = share < 1 ? `uploading, ${percent(share)}` : "being read";
    });
    well.classList.remove("busy");
    word.textContent = first;
    second.textContent = other;
    input.value = "";
    for (const picture of pictures) pick(picture);
  }
  input.addEventListener("change", () => take(input.files));
  well.addEventListener("dragover", (event) => {
    event.preventDefault();
    well.classList.add("over");
  });
  well.addEventListener("dragleave", () => well.classList.remove("over"));
  well.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    well.classList.remove("over");
    take(event.dataTransfer.files);
  });

  const tile = (picture) => {
    const item = h("li", {});
    item.append(
      h("button", { class: "tile", onclick: () => pick(picture) }, thumb(picture, SMALL, () => {
        if (picture.source.upload) {
          forgetRecent(picture);
          item.remove();
        }
      }), h("span", {}, picture.name)),
    );
    return item;
  };
  const yours = recent().filter((picture) => picture.clip === (role === "clip")).slice(0, 6);
  const names = included();
  return h(
    "div",
    { class: "chooser" },
    h("h2", {}, title),
    well,
    yours.length ? [h("h3", {}, "Yours"), h("ul", { class: "tiles" }, yours.map(tile))] : null,
    names.length ? [h("h3", {}, "Included"), h("ul", { class: "tiles" }, names.map((name) => tile(fromIncluded(name))))] : null,
  );
}

/** The chooser in a window of its own. */
export function chooseInDialog(role, pick) {
  const key = document.activeElement?.dataset.key;
  const dialog = h("dialog", { class: "choose", "aria-label": ROLES[role].title });
  dialog.append(
    h("button", { class: "quiet close", onclick: () => dialog.close() }, "Close"),
    chooser(role, (picture) => {
      pick(picture);
      dialog.close();
    }),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    // What opened it may have been drawn once more.
    if (key) refocus(key);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
