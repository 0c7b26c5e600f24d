// One incident: what the machine made of it, what people made of it, round by round, and its sound.

import { ask } from "../api.js";
import { dateOf, timeOfDay } from "../clock.js";
import { byId, h, put, write } from "../dom.js";
import { createFeed } from "../feed.js";
import { createLink } from "../link.js";
import { createMap } from "../map/map.js";
import { createState } from "../state.js";
import { boot, count, t } from "../texts.js";
import { createClips } from "./clips.js";
import { createReplay } from "./replay.js";

const REVIEWING = ["installer", "analyst"];
const VERDICTS = ["gunfire", "not-gunfire", "unsure"];

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(String(event.reason)));

const state = createState();
const map = createMap(state, { onSelect: () => {}, onNode: () => {} });
const replay = createReplay(byId("replay"), (i) => {
  map.light(i);
  for (const [k, row] of [...byId("shots").querySelectorAll("tbody tr")].entries()) row.classList.toggle("is-lit", k === i);
});
const clips = REVIEWING.includes(boot.role) ? createClips(byId("clips"), state) : null;
const path = `/api/incidents/${encodeURIComponent(boot.incident)}`;
let drawn = "";

if (!clips) put(byId("clips"), h("p", { class: "faint" }, t("incident.clips.not-yours")));
state.onChange(map.render);
state.onChange(render);
createFeed({
  onIncidents: (incidents) => incidents.filter(isThis).forEach(state.putIncident),
  onNodes: state.putNodes,
  onSaid: (kind, said) => {
    if (state.putSaid(kind, said)) readSaid();
  },
  onLink: createLink(),
  onReady: begin,
});

const isThis = (incident) => incident.id === boot.incident || (incident.aliases ?? []).includes(boot.incident);

async function begin() {
  const response = await ask(path);
  const body = await response.json();
  if (!response.ok) {
    write(byId("what"), body.error);
    return;
  }
  state.putIncident(body);
  state.select(body.id);
  map.bringIntoView(body);
  readSaid();
  clips?.read(path);
}

function render() {
  const incident = state.selected;
  if (!incident) return;
  const key = JSON.stringify(incident);
  if (key === drawn) return;
  drawn = key;
  const { words } = incident;
  write(byId("what"), `${words.category}, ${count("rounds", incident.rounds)}, ${dateOf(incident.time)} ${timeOfDay(incident.time)} UTC`);
  put(byId("machine"), h("h2", {}, t("incident.machine")), facts(incident));
  put(byId("people"), h("h2", {}, t("incident.people")), reviews(incident), REVIEWING.includes(boot.role) && form(incident));
  put(byId("shots"), shots(incident));
  replay.show(incident.shots);
}

function facts({ words, lat, lon, address, id, revision, reason }) {
  const rows = [
    ["ui.incident.confidence", words.confidence],
    ["ui.incident.rounds", words.rounds],
    ["ui.incident.shooters", words.shooters],
    ["ui.incident.address", address],
    ["ui.incident.place", lat === null ? reason ?? words.place : `${lat.toFixed(6)}, ${lon.toFixed(6)}, ${words.place}`],
    ["ui.incident.nodes", words.heard_by],
    ["ui.incident.id", `${id}, ${t("ui.incident.revision", { n: revision })}`],
  ];
  return h("dl", { class: "facts-list" }, rows.filter(([, value]) => value).map(([key, value]) => [h("dt", {}, t(key)), h("dd", {}, value)]));
}

function reviews(incident) {
  if (!incident.reviews?.length) return h("p", { class: "faint" }, t("incident.people.none"));
  return h("ul", { class: "reviews" }, incident.reviews.map((one) => h("li", {},
    h("strong", {}, t(`verdict.${one.verdict}`)), ` ${t("incident.by", { by: one.by, time: stamp(one) })}`, one.note && h("p", {}, one.note))));
}

// The machine's result stays; this is written beside it.
function form(incident) {
  const verdict = h("select", { name: "verdict", id: "verdict" }, VERDICTS.map((name) => h("option", { value: name }, t(`verdict.${name}`))));
  const note = h("input", { name: "note", id: "note", maxlength: 1000, autocomplete: "off" });
  const result = h("p", { class: "faint", role: "status" });
  async function save(event) {
    event.preventDefault();
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ verdict: verdict.value, note: note.value }) };
    const response = await ask(`/api/incidents/${encodeURIComponent(incident.id)}/reviews`, options);
    write(result, response.ok ? t("incident.review.saved") : t("act.not-saved", { problem: (await response.json()).error }));
  }
  return h("form", { class: "form", onsubmit: save },
    h("label", {}, t("incident.review.verdict"), verdict),
    h("label", {}, t("incident.review.note"), note),
    h("button", { class: "button button-main" }, t("incident.review.save")), result);
}

// Observed minus predicted at each node: what a person checks a place by.
function shots(incident) {
  const nodes = incident.heard_by;
  const heads = ["number", "time", "delta", "shooter", "place"].map((name) => t(`ui.shot.${name}`));
  return h("table", {},
    h("thead", {}, h("tr", {}, [...heads, ...nodes.map((node) => t("incident.residual", { node }))].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, incident.shots.map((shot, i) => h("tr", {},
      h("td", {}, String(i + 1)), h("td", {}, timeOfDay(shot.time)),
      h("td", {}, i ? ((shot.time_ns - incident.shots[i - 1].time_ns) / 1e9).toFixed(3) : ""),
      h("td", {}, String(shot.shooter)), h("td", {}, shot.ellipse ? String(Math.ceil(shot.ellipse.major_m)) : "–"),
      nodes.map((node) => h("td", {}, heard(shot, node)))))));
}

function heard(shot, node) {
  if (!shot.heard_by.includes(node)) return "–";
  const residual = shot.residuals_s?.[node];
  return residual === undefined ? "✓" : (1000 * residual).toFixed(1);
}

async function readSaid() {
  const response = await ask(`${path}/remarks`);
  if (!response.ok) return;
  const { acknowledgements, reviews: all } = await response.json();
  const rows = [
    ...acknowledgements.map((one) => [one, `${one.unit}: ${t(`unit-state.${one.state}`)}`]),
    ...all.map((one) => [one, `${t("incident.review.verdict")}: ${t(`verdict.${one.verdict}`)}${one.note ? `, ${one.note}` : ""}`]),
  ].sort(([a], [b]) => a.time_ns - b.time_ns);
  put(byId("said"), rows.length
    ? h("table", {},
      h("thead", {}, h("tr", {}, ["ui.rejections.time", "people.what", "login.name", "ui.table.node"].map((key) => h("th", { scope: "col" }, t(key))))),
      h("tbody", {}, rows.map(([one, what]) => h("tr", {}, h("td", {}, stamp(one)), h("td", {}, what), h("td", {}, one.by), h("td", {}, one.node ?? "")))))
    : h("p", { class: "faint" }, t("incident.said.none")));
}

const stamp = (one) => `${dateOf(one.time)} ${one.time.slice(11, 19)}`;

function fail(message) {
  const strip = byId("page-failed");
  write(strip, t("ui.page-failed", { error: message }));
  strip.hidden = false;
}
