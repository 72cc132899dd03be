// The buttons of a picture that can be zoomed.

import { h, icon } from "./dom.js";

const SCREEN_DPI = 96; // pixels of a web page per inch, by definition

/** Buttons for a viewer. `width` is that of the finished picture, `dpi` that of a print. */
export function zoomButtons(viewer, { width = null, dpi = null } = {}) {
  const button = (label, content, action) => h("button", { class: "square", "aria-label": label, title: label, onclick: action }, content);
  return h(
    "div",
    { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("Zoom out", icon("minus"), () => viewer.out()),
    button("Zoom in", icon("plus"), () => viewer.in()),
    button("Show all of it", "Fit", () => viewer.fit()),
    button("One pixel of the picture for one of the screen", "1:1", () => viewer.pixelsPerPixel(1, width)),
    dpi ? button("As large as on paper, about", "Paper", () => viewer.pixelsPerPixel((SCREEN_DPI * window.devicePixelRatio) / dpi, width)) : null,
  );
}
