// The three big buttons: acknowledge, en route, on scene; cannot respond by holding; and five seconds to undo.

import { nowMs } from "../clock.js";
import { byId, h, put, write } from "../dom.js";
import { t } from "../texts.js";
import { STEPS } from "./alerts.js";

const UNDO_MS = 5_000;
const HOLD_MS = 800;

export function createActs({ outbox, alerts, unitOf, onPress }) {
  const root = byId("acts");
  const buttons = new Map(STEPS.map((step) => [step, h("button", { type: "button", class: "act", "data-step": step, onclick: () => press(step) }, t(`act.${step}`))]));
  const decline = h("button", { type: "button", class: "act-small", title: t("act.decline.help") }, t("act.decline"));
  const undo = h("button", { type: "button", class: "act-small", hidden: true, onclick: takeBack }, t("act.undo"));
  const state = h("p", { class: "act-state", role: "status" });
  put(root, [...buttons.values()], decline, undo, state);
  let incident = null;
  let last = null;
  let holding = 0;

  decline.addEventListener("pointerdown", () => {
    decline.classList.add("is-held");
    holding = setTimeout(() => press("declined"), HOLD_MS);
  });
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) decline.addEventListener(name, release);
  decline.addEventListener("keydown", (event) => {
    if (event.key === "Enter") press("declined");
  });

  function release() {
    clearTimeout(holding);
    decline.classList.remove("is-held");
  }

  function press(step) {
    release();
    if (!incident) return;
    const press = { incident: incident.id, unit: unitOf(), state: step, time_ns: Math.round(nowMs() * 1e6) };
    last = { ...press, before: alerts.stateOf(incident, unitOf()), ms: performance.now() };
    outbox.put(press);
    onPress(press);
    tick();
  }

  // What was sent stays in the log; taking it back is one more press that says how it was.
  function takeBack() {
    if (!last) return;
    const press = { incident: last.incident, unit: last.unit, state: last.before ?? "clear", time_ns: Math.round(nowMs() * 1e6) };
    last = null;
    outbox.put(press);
    onPress(press);
    tick();
  }

  function render(next) {
    incident = next;
    root.hidden = !incident;
    tick();
  }

  function tick() {
    if (!incident) return;
    const now = alerts.stateOf(incident, unitOf());
    const reached = STEPS.indexOf(now);
    for (const [step, button] of buttons) {
      button.setAttribute("aria-pressed", String(step === now));
      button.classList.toggle("is-next", STEPS.indexOf(step) === reached + 1);
    }
    const canUndo = last && last.incident === incident.id && performance.now() - last.ms < UNDO_MS;
    undo.hidden = !canUndo;
    decline.hidden = Boolean(canUndo);
    write(state, stateText(now));
    state.dataset.state = outbox.problem ? "failed" : outbox.isWaiting(incident.id) ? "waiting" : "saved";
  }

  function stateText(now) {
    if (outbox.problem) return t("act.not-saved", { problem: outbox.problem });
    if (outbox.isWaiting(incident.id)) return t("act.sending");
    return now ? t("act.saved", { state: t(`unit-state.${now}`) }) : "";
  }

  return { render, tick };
}
