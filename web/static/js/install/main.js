// The technician's page: one step after the other, each with a number, a limit and a verdict; READY when all are met.

import { ask } from "../api.js";
import { nowMs, timeOfDay } from "../clock.js";
import { byId, h, put, shape, write } from "../dom.js";
import { createFeed } from "../feed.js";
import { createLink } from "../link.js";
import { createState } from "../state.js";
import { boot, t } from "../texts.js";
import { createMeasures, judge } from "./steps.js";

const FLOOR_DBFS = -40;
const REJECTIONS_SHOWN = 20;
const REJECTIONS_EVERY_MS = 4_000;
const SHAPES = { pass: "ok", fail: "failed", open: "unknown" };

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(String(event.reason)));

const state = createState();
const measures = createMeasures();
const started = new Date().toISOString();
const rows = new Map();
const floor = h("input", { type: "number", value: FLOOR_DBFS, min: -100, max: 0, "aria-label": t("install.floor.limit") });
let sentMs = null;

const ACTIONS = {
  clipping: () => [h("button", { type: "button", class: "button", onclick: () => act(measures.resetClipped) }, t("install.reset"))],
  floor: () => [h("label", {}, t("install.floor.limit"), " ", floor)],
  order: () => [h("button", { type: "button", class: "button", onclick: () => act(measures.startTapping) }, t("install.tap"))],
  alert: () => [
    h("button", { type: "button", class: "button", onclick: sendAlert }, t("install.alert.send")),
    h("button", { type: "button", class: "button", onclick: () => act(() => measures.setHeard(true)) }, t("install.alert.heard")),
    h("button", { type: "button", class: "button", onclick: () => act(() => measures.setHeard(false)) }, t("install.alert.not-heard")),
  ],
};

createFeed({
  onIncidents: () => {},
  onNodes: takeNodes,
  onSaid: takeSaid,
  onLink: createLink(),
  onReady: () => state.setReady(),
});
state.onChange(render);
floor.addEventListener("input", render);
byId("report").addEventListener("click", download);
setInterval(readRejections, REJECTIONS_EVERY_MS);
readRejections();

function takeNodes(nodes, options) {
  for (const node of nodes) if (node.self && node.levels?.length) measures.take(node.levels, node.last_heard_ns);
  state.putNodes(nodes, options);
}

// The test alert has come back through log and stream, as it comes to every car.
function takeSaid(kind) {
  if (kind !== "exercise" || sentMs === null) return;
  measures.setAlert((performance.now() - sentMs) / 1000);
  sentMs = null;
  render();
}

async function sendAlert() {
  sentMs = performance.now();
  const response = await ask("/api/exercises", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ words: t("install.alert.words", { node: boot.own_node ?? "" }) }),
  });
  if (!response.ok) fail((await response.json()).error);
}

function act(action) {
  action();
  render();
}

const own = () => state.nodes.find((node) => node.self);

const judged = () => judge(own(), state.nodes, measures, Number(floor.value));

function render() {
  const steps = judged();
  for (const step of steps) {
    const row = rows.get(step.name) ?? create(step.name);
    row.show(step);
  }
  const open = steps.filter((step) => step.state !== "pass");
  write(byId("verdict"), open.length ? t("install.not-ready", { names: open.map((step) => t(`step.${step.name}`)).join(", ") }) : t("install.ready"));
  byId("verdict").classList.toggle("is-ready", !open.length);
}

function create(name) {
  const icon = h("span");
  const number = h("span", { class: "step-number" });
  const detail = h("p", { class: "hint" });
  const element = h("li", { class: "step", "data-step": name },
    icon, h("div", {}, h("h2", {}, t(`step.${name}`), " ", number), h("p", { class: "hint" }, t(`step.${name}.why`)), detail, h("div", { class: "replay" }, ACTIONS[name]?.())));
  byId("steps").append(element);
  const row = {
    show(step) {
      icon.replaceChildren(shape(SHAPES[step.state]), h("span", { class: "sr-only" }, t(`install.${step.state}`)));
      element.dataset.state = step.state;
      write(number, numberText(step));
      write(detail, detailText(step));
    },
  };
  rows.set(name, row);
  return row;
}

function numberText({ number, unit, limit }) {
  const tidy = (value) => String(Math.round(value * 100) / 100);
  const value = number === null ? "–" : `${tidy(number)} ${unit}`.trim();
  return limit === null ? (number === null ? "" : value) : t("install.limit", { value, limit: `${tidy(limit)} ${unit}` });
}

function detailText({ name, words }) {
  if (name === "levels") return measures.means.map((mean, i) => `${t("ui.levels.channel", { n: i + 1 })} ${mean.toFixed(1)} dBFS`).join(" · ");
  if (name === "clipping") return measures.clipped.map((n, i) => `${t("ui.levels.channel", { n: i + 1 })} ${n}`).join(" · ");
  if (name === "order") return orderText();
  return words ?? "";
}

function orderText() {
  const heard = measures.taps.map((channel) => channel + 1).join(", ");
  if (measures.isTapping) return t("install.tap.next", { n: measures.taps.length + 1, heard: heard || "–" });
  return heard ? t("install.tap.heard", { heard }) : "";
}

async function readRejections() {
  if (document.hidden) return;
  const response = await ask(`/api/rejections?limit=${REJECTIONS_SHOWN}`);
  if (!response.ok) return;
  const list = await response.json();
  put(byId("rejections"), list.length
    ? h("table", {}, h("thead", {}, h("tr", {}, ["time", "stage", "reason"].map((name) => h("th", { scope: "col" }, t(`ui.rejections.${name}`))))),
      h("tbody", {}, list.map((one) => h("tr", {}, h("td", {}, timeOfDay(one.time)), h("td", {}, one.stage), h("td", {}, one.reason)))))
    : h("p", { class: "faint" }, t("ui.rejections.empty")));
}

// All numbers with their limits, as they stand now.
function download() {
  const node = own();
  const steps = judged();
  const report = {
    node: node?.id ?? null,
    software: node?.software ?? null,
    person: boot.person,
    started,
    finished: new Date(nowMs()).toISOString(),
    ready: steps.every((step) => step.state === "pass"),
    steps,
    taps: measures.taps.map((channel) => channel + 1),
    place: node && { lat: node.lat, lon: node.lon, sigma_m: node.position_sigma_m, heading_deg: node.heading_deg },
    signed: false,
  };
  const url = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }));
  h("a", { href: url, download: `earshot-${report.node}-${report.finished.slice(0, 10)}.json` }).click();
  URL.revokeObjectURL(url);
}

function fail(message) {
  const strip = byId("page-failed");
  write(strip, t("ui.page-failed", { error: message }));
  strip.hidden = false;
}
