// Time as the node has it: a car's own clock may be minutes off, and ages must not be.

import { t } from "./texts.js";

let offsetMs = 0;

export function setNodeTime(timeNs) {
  offsetMs = timeNs / 1e6 - Date.now();
}

export const nowMs = () => Date.now() + offsetMs;

export const ageMs = (timeNs) => Math.max(0, nowMs() - timeNs / 1e6);

export function ageText(ms) {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return t("ui.age.days", { d: Math.floor(hours / 24), h: hours % 24 });
  if (hours >= 1) return t("ui.age.hours", { h: hours, m: minutes % 60 });
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

// What is older is past: the page shows it more quietly.
export const RECENT_MS = 15 * 60_000;

export function utcClock() {
  return `${new Date(nowMs()).toISOString().slice(11, 19)} UTC`;
}

// "2026-07-04T03:12:03.120000Z" to "03:12:03.120": cut, never rounded, and exact where a number would not be.
export const timeOfDay = (iso) => iso.slice(11, 23);

export const dateOf = (iso) => iso.slice(0, 10);
