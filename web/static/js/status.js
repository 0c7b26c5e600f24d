// Six tiles: how this node is, since when, and what to do.

import { ageMs, ageText } from "./clock.js";
import { byId, h, put, shape, write } from "./dom.js";
import { createFeed } from "./feed.js";
import { createLink } from "./link.js";
import { createState } from "./state.js";
import { has, t } from "./texts.js";

const TILES = ["ears", "clock", "place", "peers", "alerts", "health"];
const WORST = ["failed", "degraded", "unknown", "ok"];

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(String(event.reason)));

const state = createState();
let drawn = "";

state.onChange(render);
setInterval(tick, 1000);
createFeed({ onIncidents: () => {}, onNodes: state.putNodes, onLink: createLink(), onReady: () => state.setReady() });

function render() {
  const own = state.nodes.find((node) => node.self);
  const key = JSON.stringify(state.nodes.map((node) => [node.id, node.state, node.words, node.health]));
  if (key === drawn) return;
  drawn = key;
  put(byId("tiles"), own ? TILES.map((name) => tile(name, checksOf(name, own))) : h("p", {}, t("ui.nodes.empty.why")));
  put(byId("peers"), peers());
  tick();
}

// The sixth tile holds every check that has no tile of its own.
function checksOf(name, node) {
  return (node.health ?? []).filter((check) => (name === "health" ? !TILES.includes(check.name) : check.name === name));
}

function tile(name, checks) {
  const worst = [...checks].sort((a, b) => WORST.indexOf(a.state) - WORST.indexOf(b.state))[0];
  const look = worst?.state ?? "unknown";
  return h("section", { class: `tile is-${look}`, "data-tile": name },
    h("h2", { class: "tile-name" }, shape(look), t(`tile.${name}`), h("span", { class: "tile-state" }, t(`state.${look}`))),
    worst ? facts(worst, checks) : h("p", {}, t("tile.none")));
}

function facts(worst, checks) {
  const number = worst.number === null || worst.number === undefined ? null : `${tidy(worst.number)} ${worst.unit}`.trim();
  const others = checks.filter((check) => check !== worst);
  return [
    number && h("p", { class: "tile-number" }, number),
    h("p", {}, worst.words),
    h("p", { class: "faint" }, h("span", { "data-since": worst.since_ns })),
    worst.state !== "ok" && worst.remedy && h("p", { class: "tile-remedy" }, worst.remedy),
    others.length > 0 && h("ul", { class: "faint" }, others.map((check) => h("li", {}, `${nameOf(check)}: ${t(`state.${check.state}`)}, ${check.words}`))),
  ];
}

const nameOf = (check) => (has(`ui.check.${check.name}`) ? t(`ui.check.${check.name}`) : check.name);

const tidy = (number) => (Number.isInteger(number) ? String(number) : number.toPrecision(3).replace(/\.?0+$/, ""));

function peers() {
  return h("table", {},
    h("thead", {}, h("tr", {}, ["node", "state"].map((name) => h("th", { scope: "col" }, t(`ui.table.${name}`))))),
    h("tbody", {}, state.nodes.map((node) => h("tr", {}, h("td", {}, node.id), h("td", {}, `${node.words.state}: ${node.words.why}`)))));
}

function tick() {
  for (const since of document.querySelectorAll("[data-since]")) {
    write(since, t("ui.check.since", { age: ageText(ageMs(Number(since.dataset.since))) }));
  }
}

function fail(message) {
  const strip = byId("page-failed");
  write(strip, t("ui.page-failed", { error: message }));
  strip.hidden = false;
}
