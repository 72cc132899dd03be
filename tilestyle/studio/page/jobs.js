// All jobs of the server, as they are now.

import { get, post, Stream } from "./api.js";
import { showProblem, confirmLoss, removeLine } from "./lines.js";

const ACTIVE = ["running", "stopping", "paused", "queued"];

class Jobs extends EventTarget {
  all = new Map();
  loaded = false;

  async start() {
    let connections = 0;
    this.stream = new Stream(
      "/api/events",
      {
        job: (job) => job && this.set(job),
        gone: (gone) => gone && this.remove(gone.id),
      },
      (connected) => {
        if (connected) {
          removeLine("connection");
          // Something may have been deleted since the last one.
          if (connections > 0) this.load().catch(() => {});
          connections += 1;
        } else if (!document.hidden) {
          showProblem({ message: "the studio cannot be reached", hint: "this page tries again by itself; renders are not lost" }, "connection");
        }
      },
    );
    await this.load();
  }

  async load() {
    const answer = await get("/api/jobs");
    const list = Array.isArray(answer) ? answer : answer.jobs;
    this.all = new Map(list.map((job) => [job.id, job]));
    this.loaded = true;
    this.dispatchEvent(new Event("change"));
  }

  get(id) {
    return this.all.get(id) ?? null;
  }

  set(job) {
    this.all.set(job.id, job);
    this.dispatchEvent(new Event("change"));
  }

  remove(id) {
    this.all.delete(id);
    this.dispatchEvent(new Event("change"));
  }

  /** Newest first. */
  get list() {
    return [...this.all.values()].sort((a, b) => Number(new Date(stamp(b))) - Number(new Date(stamp(a))));
  }

  get active() {
    return this.list.filter(isActive).sort((a, b) => ACTIVE.indexOf(a.state) - ACTIVE.indexOf(b.state));
  }

  async act(job, action) {
    try {
      const answer = await post(`/api/jobs/${job.id}/${action}`);
      if (answer?.id === job.id) this.set(answer);
      return true;
    } catch (problem) {
      showProblem(problem);
      return false;
    }
  }

  /** Delete a job, after asking; resolves to whether it is gone. */
  async discard(job) {
    const question = isActive(job) ? "Stop and discard this picture?" : "Delete this picture?";
    const detail = isActive(job)
      ? "What has been rendered so far is deleted. To keep it, stop and write it instead."
      : "It is deleted from the studio's folder. What you have downloaded stays.";
    if (!(await confirmLoss(question, detail, isActive(job) ? "Discard" : "Delete", "Keep it"))) return false;
    if (!(await this.act(job, "discard"))) return false;
    this.remove(job.id);
    return true;
  }
}

const stamp = (job) => (typeof job.created === "number" ? 1000 * job.created : job.created);

export function isActive(job) {
  return ACTIVE.includes(job.state);
}

export const jobs = new Jobs();
