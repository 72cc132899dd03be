// Numbers as people read them.

export function count(number) {
  return Math.round(number).toLocaleString("en-US");
}

export function pixels(width, height) {
  return `${count(width)} × ${count(height)}`;
}

/** A duration in one or two units: "40 s", "3 min", "1 h 20 min". */
export function duration(seconds) {
  if (seconds < 1) return "1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

export function bytes(number) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = number;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : Number(size.toPrecision(2))} ${units[unit]}`;
}

export function percent(share) {
  return `${Math.floor(100 * share)}%`;
}

/** A number without needless digits: 0.5, 1.41. */
export function short(number) {
  return String(Number(Number(number).toFixed(2)));
}

export function when(stamp) {
  const date = new Date(typeof stamp === "number" ? 1000 * stamp : stamp);
  if (Number.isNaN(date.getTime())) return "";
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return today ? `today, ${time}` : `${date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

const STATES = {
  queued: "Waiting",
  running: "Rendering",
  paused: "Paused",
  stopping: "Writing what there is",
  done: "Done",
  stopped: "Stopped early",
  failed: "Failed",
};

export function stateWord(state) {
  return STATES[state] ?? state;
}

export const KINDS = { render: "Picture", texture: "Texture", video: "Video", preview: "Preview" };
