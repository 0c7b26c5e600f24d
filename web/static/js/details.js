// Everything about the selected incident.

import { ageMs, ageText, dateOf, timeOfDay } from "./clock.js";
import { byId, h, put, shape, write } from "./dom.js";
import { names } from "./list.js";
import { t } from "./texts.js";

const MAX_ROWS = 100;

export function createDetails(state, { onShow, onLight }) {
  const root = byId("details");
  const age = h("span", { class: "details-age" });
  let shown;

  function render() {
    const incident = state.selected;
    if (shown === incident) {
      tick();
      return;
    }
    const isSame = shown && incident && shown.id === incident.id;
    const scrollTop = isSame ? root.scrollTop : 0;
    shown = incident;
    put(root, incident ? details(incident) : nothing());
    root.scrollTop = scrollTop;
    if (incident) tick();
  }

  function tick() {
    if (!shown) return;
    write(age, ageText(ageMs(shown.time_ns)));
  }

  function details(incident) {
    return h("div", { class: "details" },
      h("div", { class: "details-top" },
        shape(incident.category),
        h("p", { class: `details-what is-${incident.category}` }, h("strong", {}, incident.words.category)),
        age),
      facts(incident, onShow),
      incident.acknowledgements?.length > 0 && note(t("ui.incident.units"),
        incident.acknowledgements.map((one) => `${one.unit} ${t(`unit-state.${one.state}`)}`).join(" · ")),
      incident.reviews?.length > 0 && note(t("incident.people"),
        incident.reviews.map((one) => `${t(`verdict.${one.verdict}`)} (${one.by})`).join(" · ")),
      h("p", {}, h("a", { href: `/incidents/${encodeURIComponent(incident.id)}` }, t("ui.incident.whole"))),
      incident.reason && note(t("ui.incident.no-place"), incident.reason),
      shots(incident, onLight),
      alternatives(incident),
      h("p", { class: "faint" }, `${t("ui.incident.id")} ${incident.id} · ${t("ui.incident.revision", { n: incident.revision })}`));
  }

  render.tick = tick;
  return render;
}

function nothing() {
  return h("div", { class: "empty" },
    h("p", { class: "empty-title" }, t("ui.incident.empty")),
    h("p", {}, t("ui.incident.empty.why")),
    legend("legend"));
}

export function legend(className) {
  return h("div", { class: className },
    ["gunfire", "possible-gunfire", "firework", "other"].map((name) => h("span", {}, shape(name), t(`category.${name}`))));
}

function facts(incident, onShow) {
  return h("dl", { class: "facts" },
    fact(t("ui.incident.rounds"), [range(incident), span(incident)], "fact-main"),
    fact(t("ui.incident.shooters"), String(incident.shooters), "fact-main"),
    fact(t("ui.incident.confidence"), incident.words.confidence),
    fact(t("ui.incident.first"), [timeOfDay(incident.time), " ", h("span", { class: "faint whole" }, dateOf(incident.time))]),
    incident.address && fact(t("ui.incident.address"), incident.address, "fact-wide"),
    place(incident, onShow),
    fact(t("ui.incident.nodes"), names(incident.heard_by), "fact-wide"));
}

function fact(label, value, className = "") {
  return h("div", { class: className }, h("dt", {}, label), h("dd", {}, value));
}

function range(incident) {
  const [low, high] = incident.rounds_range ?? [incident.rounds, incident.rounds];
  return low === high ? String(incident.rounds) : `${incident.rounds} (${low}–${high})`;
}

function span(incident) {
  if (incident.shots.length < 2) return null;
  const times = incident.shots.map((shot) => shot.time_ns);
  const seconds = (Math.max(...times) - Math.min(...times)) / 1e9;
  return h("span", { class: "faint" }, ` ${t("ui.incident.span", { seconds: seconds.toFixed(1) })}`);
}

function place(incident, onShow) {
  if (incident.lat === null) {
    return fact(t(incident.bearing ? "ui.incident.direction" : "ui.incident.place"), incident.bearing ? incident.words.place : t("place.none"), "fact-wide");
  }
  const { major_m: major, minor_m: minor, bearing_deg: bearing } = incident.ellipse;
  return fact(t("ui.incident.place"), [
    incident.words.place, " · ", h("span", { class: "whole" }, `${incident.lat.toFixed(6)}, ${incident.lon.toFixed(6)}`), " ",
    h("button", { type: "button", class: "link-button", onclick: () => onShow(incident) }, t("ui.incident.show")),
    h("br"),
    h("span", { class: "faint" }, t("ui.incident.ellipse", { major: major.toFixed(1), minor: minor.toFixed(1), bearing: Math.round(bearing) })),
  ], "fact-wide");
}

function note(title, text) {
  return h("div", { class: "note" }, h("p", { class: "label" }, title), h("p", {}, text));
}

function shots(incident, onLight) {
  if (!incident.shots.length) return null;
  const heads = ["number", "time", "delta", "shooter", "place", "heard-by"];
  const rows = incident.shots.slice(0, MAX_ROWS).map((shot, i) => row(shot, i, incident, onLight));
  const more = incident.shots.length - rows.length;
  return h("section", { class: "shots" },
    h("h3", {}, t("ui.incident.shots")),
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col", class: ["delta", "place"].includes(name) && "number" }, t(`ui.shot.${name}`))))),
      h("tbody", {}, rows)),
    more > 0 && h("p", { class: "faint" }, t("ui.incident.more-shots", { n: more })));
}

function row(shot, i, incident, onLight) {
  const delta = i === 0 ? "" : ((shot.time_ns - incident.shots[i - 1].time_ns) / 1e9).toFixed(3);
  const all = shot.heard_by.length > 1 && shot.heard_by.length === incident.heard_by.length;
  return h("tr", { onpointerenter: () => onLight(i), onpointerleave: () => onLight(null) },
    h("td", {}, String(i + 1)),
    h("td", {}, timeOfDay(shot.time)),
    h("td", { class: "number" }, delta),
    h("td", {}, String(shot.shooter)),
    h("td", { class: "number" }, shot.ellipse ? String(Math.ceil(shot.ellipse.major_m)) : "–"),
    all ? h("td", { title: shot.heard_by.join(", ") }, t("ui.shot.all", { n: shot.heard_by.length })) : h("td", {}, shot.heard_by.join(" ")));
}

function alternatives(incident) {
  if (!incident.alternatives?.length) return null;
  return h("section", {},
    h("h3", {}, t("ui.incident.alternatives")),
    h("ul", {}, incident.alternatives.map((other) => h("li", {}, t("ui.incident.alternative", {
      percent: Math.round(100 * other.probability),
      place: `${other.lat.toFixed(6)}, ${other.lon.toFixed(6)} ± ${Math.ceil(other.ellipse.major_m)} m`,
    })))));
}

