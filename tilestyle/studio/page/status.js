// What the server offers: pictures, looks, papers, formats, limits.

import { get } from "./api.js";

const NOTHING = {
  version: "",
  device: "",
  memory_bytes: null,
  storage: null,
  limits: {},
  pictures: { photographs: [], styles: [] },
  looks: [],
  papers: [],
  formats: [],
  video: false,
  defaults: {},
};

export let status = NOTHING;

export async function loadStatus() {
  status = { ...NOTHING, ...(await get("/api/status")) };
  return status;
}

export function lookNamed(name) {
  return status.looks.find((look) => look.name === name) ?? null;
}
