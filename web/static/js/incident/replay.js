// Plays the rounds in their order and rhythm: each lights up on the map and in the table.

import { h, put, write } from "../dom.js";
import { t } from "../texts.js";

const LIT_MS = 400;
const LEAD_MS = 300;

export function createReplay(root, onLight) {
  const progress = h("span", { class: "faint", role: "status" });
  let shots = [];
  let timers = [];

  put(root, [1, 0.25].map((speed) => h("button", { type: "button", class: "button", onclick: () => play(speed) }, t("incident.play", { speed: speed === 1 ? "1" : "¼" }))), progress);

  function play(speed) {
    stop();
    if (!shots.length) return;
    const first = Math.min(...shots.map((shot) => shot.time_ns));
    shots.forEach((shot, i) => {
      timers.push(setTimeout(() => light(i), LEAD_MS + (shot.time_ns - first) / 1e6 / speed));
    });
    timers.push(setTimeout(stop, LEAD_MS + LIT_MS + (Math.max(...shots.map((shot) => shot.time_ns)) - first) / 1e6 / speed));
  }

  function light(i) {
    onLight(i);
    write(progress, t("incident.playing", { i: i + 1, n: shots.length }));
  }

  function stop() {
    for (const timer of timers) clearTimeout(timer);
    timers = [];
    onLight(null);
    write(progress, "");
  }

  return { show: (next) => { shots = next; } };
}
