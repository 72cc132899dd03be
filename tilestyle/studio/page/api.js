// Requests to the server. What it refuses becomes a ServerError with one line and what to do.

export class ServerError extends Error {
  constructor(status, line, hint) {
    super(line);
    this.status = status;
    this.hint = hint;
  }
}

const UNREACHABLE = ["the studio cannot be reached", "see whether `tilestyle studio` still runs, and start it again"];

function refusal(status, body) {
  if (body && typeof body.error === "string") return new ServerError(status, body.error, body.hint ?? "");
  if (status === 401 || status === 403) {
    return new ServerError(status, "the studio does not know this browser", "open the address that `tilestyle studio` printed");
  }
  if (status === 413) return new ServerError(status, "this file is too large", "choose a smaller one");
  return new ServerError(status, `the studio answered with error ${status}`, "reload the page; the terminal of `tilestyle studio` says more");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Send a request; returns what the server says, or throws a ServerError. */
export async function call(method, path, body, signal) {
  const request = { method, signal, headers: {} };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ServerError(0, ...UNREACHABLE);
  }
  const text = await response.text();
  if (!response.ok) throw refusal(response.status, parsed(text));
  return text === "" ? null : parsed(text);
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}, signal = undefined) => call("POST", path, body, signal);

/** The text of an answer that is not JSON. */
export async function getText(path) {
  const response = await fetch(path).catch(() => {
    throw new ServerError(0, ...UNREACHABLE);
  });
  const text = await response.text();
  if (!response.ok) throw refusal(response.status, parsed(text));
  return text;
}

/** Have the server make a file ready, without fetching it. */
export async function prepare(path) {
  const response = await fetch(path, { headers: { Range: "bytes=0-0" } }).catch(() => {
    throw new ServerError(0, ...UNREACHABLE);
  });
  if (!response.ok) throw refusal(response.status, parsed(await response.text()));
  await response.body?.cancel();
}

/** Upload a file; `progress` is called with the share that has arrived. */
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", "/api/uploads");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300 && body) resolve(body);
      else reject(refusal(request.status, body));
    });
    request.addEventListener("error", () => reject(new ServerError(0, `${file.name} did not arrive`, "see whether the studio still runs, and try again")));
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}

/**
 * Server-sent events, reopened when the connection breaks. Closed while the page is hidden: a browser has six
 * connections for one server, and every open tab would hold some of them.
 */
export class Stream {
  constructor(path, handlers, connected = () => {}) {
    this.path = path;
    this.handlers = handlers;
    this.connected = connected;
    this.source = null;
    this.timer = 0;
    this.follow = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.follow);
    this.follow();
  }

  open() {
    if (this.source) return;
    clearTimeout(this.timer);
    const source = new EventSource(this.path);
    this.source = source;
    source.addEventListener("open", () => this.connected(true));
    source.addEventListener("error", () => {
      this.connected(false);
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
      this.source = null;
      this.timer = setTimeout(this.follow, 2000);
    });
    for (const [name, handler] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => handler(parsed(event.data)));
    }
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  close() {
    document.removeEventListener("visibilitychange", this.follow);
    this.pause();
  }
}
