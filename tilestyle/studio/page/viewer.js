// Deep zoom into a picture: of a job as it is now, or two of them, one clipped.

import { get } from "./api.js";
import { showProblem } from "./lines.js";

const OSD = window.OpenSeadragon;
const STEP = 1.5; // zoom by one press of a button
const GRAY = 20; // pixels around a picture that is shown whole

// OpenSeadragon puts a <style> into the page unless it finds one, and a strict Content-Security-Policy forbids that.
// An element of this name in a namespace of our own is found, and means nothing to the browser.
const mark = document.createElementNS("urn:tilestyle", "style");
mark.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(mark);

function tileSource(path, info) {
  return {
    width: info.width,
    height: info.height,
    tileSize: info.tile,
    tileOverlap: info.overlap ?? 0,
    minLevel: 0,
    maxLevel: info.levels - 1,
    getTileUrl: (level, x, y) => `${path}/tiles/${level}/${x}_${y}.jpg?revision=${info.revision ?? 0}`,
  };
}

/** A picture that can be zoomed. All pictures in it are one unit wide, so they lie over one another. */
export class Viewer {
  constructor(place, label) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.osd = OSD({
      element: place,
      drawer: "canvas", // WebGL may show other colors
      showNavigationControl: false,
      showNavigator: false,
      animationTime: still ? 0 : 0.35,
      blendTime: 0,
      maxZoomPixelRatio: 8,
      minZoomImageRatio: 0.6,
      visibilityRatio: 0.4,
      zoomPerScroll: 1.25,
      imageLoaderLimit: 4,
      maxImageCacheCount: 300,
      immediateRender: true,
      placeholderFillStyle: null,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, flickEnabled: !still },
      crossOriginPolicy: false,
    });
    this.osd.canvas.setAttribute("aria-label", label);
    this.osd.canvas.setAttribute("role", "application");
    this.osd.canvas.setAttribute("aria-description", "Arrow keys move, plus and minus zoom, 0 shows all of it");
    this.osd.addHandler("canvas-key", (event) => {
      // Turning and mirroring have no place here.
      if (["r", "R", "f"].includes(event.originalEvent.key)) event.preventDefaultAction = true;
    });
    this.layers = [];
    this.closed = false;
    // The key 0, too: OpenSeadragon's own would leave no gray around the picture, and show a clipped one alone.
    this.osd.viewport.goHome = (immediately) => this.fit(immediately);
    this.watch = new ResizeObserver(() => this.osd.viewport && this.osd.forceResize());
    this.watch.observe(place);
  }

  /** A layer: a picture that can be replaced by a newer revision of itself. */
  layer() {
    const layer = new Layer(this);
    this.layers.push(layer);
    return layer;
  }

  get home() {
    return this.layers.find((layer) => layer.item) ?? null;
  }

  zoomBy(factor) {
    this.osd.viewport.zoomBy(factor);
    this.osd.viewport.applyConstraints();
  }

  in() {
    this.zoomBy(STEP);
  }

  out() {
    this.zoomBy(1 / STEP);
  }

  /** Show all of the picture, with some gray around it. */
  fit(immediately = false) {
    const shown = this.home;
    if (!shown) return;
    const { width, height } = shown.item.getBoundsNoRotate(true);
    const { x, y } = this.osd.viewport.getContainerSize();
    const scale = Math.max(width / Math.max(x - 2 * GRAY, 1), height / Math.max(y - 2 * GRAY, 1));
    const [across, down] = [x * scale, y * scale];
    this.osd.viewport.fitBounds(new OSD.Rect((width - across) / 2, (height - down) / 2, across, down), immediately);
  }

  /** Show so many pixels of the screen for one of the picture. `width` is that of the finished picture. */
  pixelsPerPixel(ratio, width) {
    const shown = this.home;
    if (!shown) return;
    const zoom = (ratio * (width ?? shown.info.width)) / window.devicePixelRatio / this.osd.viewport.getContainerSize().x;
    // A small picture is smaller than OpenSeadragon would let it become.
    const { viewport } = this.osd;
    viewport.minZoomLevel = zoom < viewport.getMinZoom() ? zoom : viewport.minZoomLevel;
    viewport.zoomTo(zoom);
    viewport.applyConstraints();
  }

  /** Lay a detail over the picture, where it belongs. `whole` is the width of the finished picture, in pixels. */
  addDetail({ url, left, top, width }, whole) {
    this.osd.addSimpleImage({ url, x: left / whole, y: top / whole, width: width / whole });
  }

  /** Show a detail, a pixel for a pixel. */
  lookAt({ left, top, width, height }, whole) {
    this.pixelsPerPixel(1, whole);
    this.osd.viewport.panTo(new OSD.Point((left + width / 2) / whole, (top + height / 2) / whole));
  }

  get place() {
    const bounds = this.osd.viewport?.getBounds(true);
    return bounds ? [bounds.x, bounds.y, bounds.width, bounds.height] : null;
  }

  set place(bounds) {
    this.osd.viewport.fitBounds(new OSD.Rect(...bounds), true);
  }

  close() {
    this.closed = true;
    this.watch.disconnect();
    this.osd.destroy();
  }
}

class Layer {
  constructor(viewer) {
    this.viewer = viewer;
    this.item = null;
    this.info = null;
    this.loading = false;
    this.next = null;
    this.clipped = null;
  }

  /** Show a picture of the server; a newer one is put over the older until it is there. */
  async show(path, { quiet = false } = {}) {
    if (this.loading) {
      this.next = path;
      return false;
    }
    this.loading = true;
    try {
      const info = await get(`${path}/tiles`);
      if (this.viewer.closed) return false;
      await this.replace(path, info);
      return true;
    } catch (problem) {
      if (!quiet) showProblem(problem);
      return false;
    } finally {
      this.loading = false;
      if (this.next && !this.viewer.closed) {
        const waiting = this.next;
        this.next = null;
        // Not at once: tiles of a canvas that changes all the time would never stop loading.
        setTimeout(() => this.viewer.closed || this.show(waiting, { quiet: true }), 700);
      }
    }
  }

  replace(path, info) {
    const { osd } = this.viewer;
    const first = osd.world.getItemCount() === 0;
    const old = this.item;
    return new Promise((resolve, reject) => {
      const options = {
        tileSource: tileSource(path, info),
        x: 0,
        y: 0,
        width: 1,
        success: ({ item }) => {
          this.item = item;
          this.info = info;
          if (this.clipped) this.clip(...this.clipped);
          if (first) {
            this.viewer.fit(true);
            this.viewer.onfirst?.();
          }
          const settled = () => {
            clearTimeout(timer);
            item.removeHandler("fully-loaded-change", whenLoaded);
            if (old && !this.viewer.closed) osd.world.removeItem(old);
            this.viewer.onlayer?.();
            resolve();
          };
          const whenLoaded = ({ fullyLoaded }) => fullyLoaded && settled();
          const timer = setTimeout(settled, 8000); // a tile that never comes must not stop the ones after it
          item.addHandler("fully-loaded-change", whenLoaded);
          if (item.getFullyLoaded()) settled();
        },
        error: ({ message }) => reject(Object.assign(new Error(message), { hint: "" })),
      };
      if (old) options.index = osd.world.getIndexOfItem(old) + 1;
      osd.addTiledImage(options);
    });
  }

  /** Show only what is right of `from` and left of `to`, in widths of the picture. */
  clip(from, to) {
    this.clipped = [from, to];
    if (!this.item) return;
    const size = this.item.getContentSize();
    const left = Math.min(Math.max(from, 0), 1) * size.x;
    const right = Math.min(Math.max(to, 0), 1) * size.x;
    this.item.setOpacity(right > left ? 1 : 0);
    if (right > left) this.item.setClip(new OSD.Rect(left, 0, right - left, size.y));
  }
}
