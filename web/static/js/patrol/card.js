// The alert as a driver reads it: what, how old, where, from you, how sure.

import { ageMs, ageText } from "../clock.js";
import { byId, h, put, s, shape, write } from "../dom.js";
import { isLoud } from "../state.js";
import { count, t } from "../texts.js";
import { compassOf, fromTo } from "./car.js";

const OLD_MS = 5 * 60_000;
const OTHERS_SHOWN = 3;
const FIREWORKS_MS = 10 * 60_000;
const MANY_FIREWORKS = 5;

export function createCard(car, alerts, onChoose) {
  const root = byId("alert");
  const age = h("span", { class: "alert-age" });
  const fromYou = h("span");
  const arrow = s("svg", { class: "arrow", viewBox: "-12 -12 24 24", "aria-hidden": "true" }, s("path", { d: "M0-11 8 10 0 6-8 10z" }));
  const gps = h("span", { class: "faint" });
  let drawn = "";
  let shown = null;

  function render(incident, unit) {
    const others = alerts.shown().filter((entry) => entry.incident.id !== incident?.id && isLoud(entry.incident));
    const key = JSON.stringify([incident, others.map((one) => [one.incident.id, one.incident.revision, alerts.stateOf(one.incident, unit)]), unit]);
    shown = incident;
    if (key !== drawn) {
      drawn = key;
      put(root, incident ? alert(incident, unit) : quiet(), list(others, unit), fireworks());
    }
    tick();
  }

  function tick() {
    if (!shown) return;
    const ms = ageMs(shown.time_ns);
    write(age, ageText(ms));
    age.classList.toggle("is-old", ms > OLD_MS);
    showFromYou();
  }

  function alert(incident, unit) {
    const isOver = incident.status === "cancelled";
    return h("div", { class: `alert-card is-${incident.category}${isOver ? " is-over" : ""}`, "data-incident": incident.id },
      h("div", { class: "alert-head" },
        shape(incident.category),
        h("h2", { class: "alert-what", id: "what" }, incident.words.category),
        age),
      h("p", { class: "alert-rounds" }, count("rounds", incident.rounds), incident.shooters > 1 && ` · ${incident.words.shooters}`),
      h("p", { class: "alert-sure" }, sure(incident),
        alerts.isLate(incident.id) && h("span", { class: "alert-late" }, t("patrol.late"))),
      h("dl", { class: "alert-facts" },
        fact("patrol.where", where(incident), "alert-where"),
        incident.lat !== null && fact("patrol.from-you", [arrow, h("span", {}, fromYou, gps)]),
        fact("patrol.how-sure", incident.words.place)),
      units(incident, unit));
  }

  // Never a bare percentage; and who says so.
  function sure(incident) {
    const verdict = incident.reviews?.at(-1);
    if (verdict) return h("span", {}, t("patrol.reviewed", { verdict: t(`verdict.${verdict.verdict}`), by: verdict.by }));
    return h("span", {}, t("patrol.machine", { word: incident.confidence >= 0.7 ? t("patrol.probable") : t("patrol.possible") }));
  }

  function showFromYou() {
    if (shown.lat === null) return;
    const { fix } = car;
    arrow.toggleAttribute("hidden", !car.isSure || !Number.isFinite(fix?.heading));
    if (!fix) {
      write(fromYou, t(`patrol.gps.${car.problem}`));
      write(gps, "");
      return;
    }
    const { metres, bearing } = fromTo(fix, shown);
    write(fromYou, `${lengthText(metres)} ${t(`compass.${compassOf(bearing)}`)}`);
    if (Number.isFinite(fix.heading)) arrow.firstChild.setAttribute("transform", `rotate(${Math.round(bearing - fix.heading)})`);
    write(gps, car.isSure ? "" : t("patrol.gps.old", { seconds: Math.round(car.ageMs / 1000), sigma: Math.round(fix.sigma_m) }));
  }

  // Other alerts: three lines, and how many more.
  function list(entries, unit) {
    if (!entries.length) return null;
    const rows = entries.slice(0, OTHERS_SHOWN).map(({ incident }) => h("li", {},
      h("button", { type: "button", class: "other", onclick: () => onChoose(incident.id) },
        shape(incident.category),
        h("span", { class: "other-what" }, `${incident.words.category} · ${count("rounds", incident.rounds)}`),
        h("span", {}, t(`unit-state.${alerts.stateOf(incident, unit) ?? "open"}`)))));
    const more = entries.length - rows.length;
    return h("section", { class: "others" }, h("h3", { class: "label" }, t("patrol.others")), h("ul", {}, rows),
      more > 0 && h("p", { class: "faint" }, t("ui.more", { n: more })));
  }

  function fireworks() {
    const n = alerts.shown().filter(({ incident }) => incident.category === "firework" && ageMs(incident.time_ns) < FIREWORKS_MS).length;
    return n >= MANY_FIREWORKS ? h("p", { class: "others faint" }, t("patrol.fireworks", { n })) : null;
  }

  return { render, tick };
}

// How far every unit is with it.
export function units(incident, own) {
  const said = incident.acknowledgements ?? [];
  if (!said.length) return h("p", { class: "units faint" }, t("patrol.units.none"));
  return h("ul", { class: "units" }, said.map((one) => h("li", { class: `unit is-${one.state}${one.unit === own ? " is-own" : ""}` },
    h("strong", {}, one.unit), " ", t(`unit-state.${one.state}`))));
}

function quiet() {
  return h("div", { class: "alert-quiet" }, h("h2", { id: "what" }, t("patrol.quiet")), h("p", {}, t("patrol.quiet.why")));
}

function fact(key, value, className = "") {
  return h("div", { class: className }, h("dt", {}, t(key)), h("dd", {}, value));
}

export function where(incident) {
  if (incident.address) return typeof incident.address === "string" ? incident.address : incident.address.line;
  return incident.lat === null ? incident.words.place : `${incident.lat.toFixed(5)}, ${incident.lon.toFixed(5)}`;
}

export function lengthText(metres) {
  return metres < 1000 ? t("unit.m", { value: Math.round(metres / 10) * 10 }) : t("unit.km", { value: (metres / 1000).toFixed(1) });
}
