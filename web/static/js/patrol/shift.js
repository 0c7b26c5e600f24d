// Start of shift: who this car is, whether it can be heard, and whether position, screen and link work.

import { byId, h, put, write } from "../dom.js";
import { t } from "../texts.js";

const KEPT = "earshot-unit";
const MAX_UNIT = 32;

export function createShift({ sound, car, isLinked, onStart }) {
  const dialog = byId("shift");
  let unit = kept();
  let heard = null;
  const field = h("input", { id: "shift-unit", maxlength: MAX_UNIT, required: true, autocomplete: "off", value: unit });
  const checks = h("ul", { class: "shift-checks" });
  const asked = h("div", { class: "shift-asked", hidden: true },
    h("p", {}, t("shift.heard")),
    h("button", { type: "button", class: "act-small", onclick: () => answer(true) }, t("shift.yes")),
    h("button", { type: "button", class: "act-small", onclick: () => answer(false) }, t("shift.no")));
  const form = h("form", { class: "shift-form", onsubmit: start },
    h("h2", { id: "shift-title" }, t("shift.title")),
    h("label", { for: "shift-unit" }, t("shift.unit")), field,
    h("button", { type: "button", class: "act-small act-arm", id: "arm", onclick: arm }, t("shift.arm")),
    asked, checks,
    h("button", { type: "submit", class: "act act-start", id: "start-shift" }, t("shift.start")));
  put(dialog, form);
  dialog.addEventListener("cancel", (event) => {
    if (!unit) event.preventDefault();
  });

  async function arm() {
    await sound.arm();
    sound.call();
    sound.say(t("shift.sound-check"));
    asked.hidden = false;
    car.start();
    render();
  }

  function answer(isHeard) {
    heard = isHeard;
    render();
  }

  async function start(event) {
    event.preventDefault();
    unit = field.value.trim().slice(0, MAX_UNIT);
    if (!unit) return;
    try {
      localStorage.setItem(KEPT, unit);
    } catch {
      // It is asked again after the next load.
    }
    await sound.arm();
    car.start();
    dialog.close();
    onStart();
  }

  function render() {
    const rows = [
      ["sound", heard === true ? "ok" : heard === false ? "failed" : sound.isArmed() ? "degraded" : "unknown", heard === true ? "shift.sound.heard" : heard === false ? "shift.sound.not-heard" : "shift.sound.unknown"],
      ["position", car.fix ? "ok" : car.problem === "waiting" ? "unknown" : "failed", car.fix ? "shift.position.ok" : `patrol.gps.${car.problem}`],
      ["trust", isSecureContext ? "ok" : "failed", isSecureContext ? "shift.trust.ok" : "shift.trust.no"],
      ["screen", "wakeLock" in navigator ? "ok" : "degraded", "wakeLock" in navigator ? "shift.screen.ok" : "shift.screen.no"],
      ["link", isLinked() ? "ok" : "failed", isLinked() ? "ui.link.live" : "ui.link.lost"],
    ];
    put(checks, rows.map(([name, state, key]) => h("li", { class: `is-${state}`, "data-check": name },
      h("strong", {}, t(`shift.${name}`)), " ", h("span", {}, t(key)), h("span", { class: "sr-only" }, ` ${t(`state.${state}`)}`))));
    write(form.querySelector("#arm"), t(heard === true ? "shift.arm.again" : "shift.arm"));
  }

  function open() {
    render();
    if (!dialog.open) dialog.showModal();
  }

  setInterval(() => {
    if (dialog.open) render();
  }, 1000);

  return { open, get unit() { return unit; }, get isOpen() { return dialog.open; } };
}

function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}
