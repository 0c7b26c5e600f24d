// What each node is doing: its checks in words with the number, since when, and what to do; levels of this node.

import { ageMs, ageText, timeOfDay } from "./clock.js";
import { byId, h, put, shape, write } from "./dom.js";
import { count, has, t } from "./texts.js";

const LEVEL_FLOOR_DBFS = -90;
const REJECTIONS_SHOWN = 30;
const REJECTIONS_EVERY_MS = 3_000;
const WORST_FIRST = ["failed", "silent", "degraded", "unknown", "ok"];

export function createNodes(state) {
  const root = byId("nodes-list");
  const rows = new Map();
  const rejections = createRejections();

  function render() {
    showChip(state);
    if (!state.ready) return;
    const nodes = state.nodes;
    if (!nodes.length) {
      rows.clear();
      put(root, h("div", { class: "empty" }, h("p", { class: "empty-title" }, t("ui.nodes.empty")), h("p", {}, t("ui.nodes.empty.why"))));
      return;
    }
    if (!rows.size) root.replaceChildren();
    for (const [id, row] of rows) {
      if (!nodes.some((node) => node.id === id)) {
        row.element.remove();
        rows.delete(id);
      }
    }
    nodes.forEach((node, i) => {
      if (!rows.has(node.id)) rows.set(node.id, createRow(node, node.self ? rejections : null));
      const row = rows.get(node.id);
      row.show(node);
      if (root.children[i] !== row.element) root.insertBefore(row.element, root.children[i] ?? null);
    });
  }

  render.tick = () => {
    for (const row of rows.values()) row.tick();
  };
  return render;
}

// One line in the heading: are all nodes well? If not, which one is worst.
function showChip(state) {
  const chip = byId("nodes-chip");
  const nodes = state.nodes;
  chip.hidden = nodes.length === 0;
  if (chip.hidden) return;
  const worst = WORST_FIRST.find((name) => nodes.some((node) => node.state === name)) ?? "unknown";
  const ok = nodes.filter((node) => node.state === "ok").length;
  const text = ok === nodes.length ? t("ui.nodes.chip.all", { n: ok }) : t("ui.nodes.chip.some", { ok, n: nodes.length });
  if (chip.dataset.shown === `${worst} ${text}`) return;
  chip.dataset.shown = `${worst} ${text}`;
  put(chip, shape(worst), text);
}

function createRow(first, rejections) {
  let node = null;
  let drawn = "";
  const icon = h("span");
  const state = h("span", { class: "node-state" });
  const why = h("span", { class: "node-why" });
  const loudest = first.self ? createMeter(t("ui.levels")) : null;
  const summary = h("summary", {}, icon,
    h("span", { class: "node-name" }, first.id, first.self && h("span", { class: "tag" }, t("ui.nodes.this"))), state, why, loudest?.element);
  const checks = h("div");
  const meters = first.self ? createMeters() : null;
  const foot = h("p", { class: "faint" });
  const body = h("div", { class: "node-body" }, checks, meters?.element, rejections?.element, foot);
  const element = h("details", { class: "node", "data-node": first.id }, summary, body);

  function show(next) {
    node = next;
    meters?.show(next.levels ?? []);
    loudest?.show(loudestOf(next.levels ?? []));
    const key = JSON.stringify([next.state, next.words, next.health, next.url, next.lat, next.lon]);
    if (key !== drawn) {
      drawn = key;
      icon.replaceChildren(shape(next.state));
      state.className = `node-state is-${next.state}`;
      write(state, next.words.state);
      put(checks, next.health?.length ? next.health.map(check) : h("p", { class: "faint" }, t("ui.nodes.no-health")));
    }
    tick();
  }

  function tick() {
    const heard = t("ui.nodes.heard", { age: ageText(ageMs(node.last_heard_ns)) });
    why.classList.toggle("is-well", node.state === "ok");
    write(why, node.state === "silent" ? `${node.words.why}, ${heard}` : node.words.why);
    put(foot, position(node), node.software && ` · ${t("ui.nodes.software", { version: node.software })}`, !node.self && ` · ${heard}`, !node.self && node.url && " · ",
      !node.self && node.url && h("a", { href: safeUrl(node.url) }, t("ui.nodes.open")));
    for (const since of checks.querySelectorAll("[data-since]")) {
      write(since, t("ui.check.since", { age: ageText(ageMs(Number(since.dataset.since))) }));
    }
  }

  return { element, show, tick };
}

// A peer's record names its address; only a web address may become a link.
const safeUrl = (url) => (/^https?:\/\//.test(url) ? url : null);

function position(node) {
  if (node.lat === null || node.lat === undefined) return t("ui.nodes.no-position");
  return t("ui.nodes.position", {
    lat: node.lat.toFixed(5),
    lon: node.lon.toFixed(5),
    sigma: Number(node.position_sigma_m ?? 0).toFixed(1),
  });
}

function check(item) {
  const label = has(`ui.check.${item.name}`) ? t(`ui.check.${item.name}`) : item.name;
  const number = item.number === null || item.number === undefined ? "" : `${tidy(item.number)} ${item.unit}`.trim();
  return h("div", { class: "check" },
    shape(item.state),
    h("span", { class: "check-name" }, label),
    h("span", {}, item.words, " ",
      h("span", { class: "faint whole" }, item.state !== "ok" && `${t(`state.${item.state}`)} `, h("span", { "data-since": item.since_ns }))),
    h("span", { class: "number" }, number),
    item.state !== "ok" && item.remedy && h("span", { class: "check-remedy" }, item.remedy));
}

const tidy = (number) => (Number.isInteger(number) ? String(number) : number.toPrecision(3).replace(/\.?0+$/, ""));

function createMeters() {
  const element = h("div");
  let rows = [];
  function show(levels) {
    if (levels.length !== rows.length || !levels.length) {
      rows = levels.map((_, i) => createMeter(t("ui.levels.channel", { n: i + 1 })));
      put(element, h("p", { class: "label" }, t("ui.levels")),
        rows.length ? rows.map((row) => row.element) : h("p", { class: "faint" }, t("ui.levels.none")));
    }
    levels.forEach((level, i) => rows[i].show(level));
  }
  return { element, show };
}

// The channel that hears most stands for all in the node's line.
const loudestOf = (levels) => levels.reduce((most, level) => (most && most.rms_dbfs >= level.rms_dbfs ? most : level), null);

function createMeter(label) {
  const track = h("div", { class: "meter-track", role: "meter", "aria-valuemin": LEVEL_FLOOR_DBFS, "aria-valuemax": 0, "aria-label": label },
    h("div", { class: "meter-fill" }), h("div", { class: "meter-peak" }));
  const value = h("span");
  const clipped = h("span", { class: "meter-clipped", hidden: true });
  const element = h("div", { class: "meter" }, h("span", {}, label), track, value, clipped);
  const share = (dbfs) => Math.min(1, Math.max(0, 1 - dbfs / LEVEL_FLOOR_DBFS));
  function show(level) {
    element.hidden = !level;
    if (!level) return;
    track.style.setProperty("--rms", share(level.rms_dbfs));
    track.style.setProperty("--peak", share(level.peak_dbfs));
    track.setAttribute("aria-valuenow", level.rms_dbfs.toFixed(1));
    write(value, t("ui.levels.value", { rms: level.rms_dbfs.toFixed(0), peak: level.peak_dbfs.toFixed(0) }));
    clipped.hidden = !level.n_clipped_samples;
    if (level.n_clipped_samples) write(clipped, count("ui.levels.clipped", level.n_clipped_samples));
  }
  return { element, show };
}

// What was heard and set aside, read only while somebody looks at it.
function createRejections() {
  const body = h("div");
  const element = h("details", { class: "disclosure" }, h("summary", {}, t("ui.rejections")), body);
  async function load() {
    if (!element.open || document.hidden) return;
    try {
      const response = await fetch(`/api/rejections?limit=${REJECTIONS_SHOWN}`, { cache: "no-store" });
      if (!response.ok) throw new Error(`status ${response.status}`);
      put(body, table(await response.json()));
    } catch {
      put(body, h("p", { class: "faint" }, t("ui.rejections.failed")));
    }
  }
  element.addEventListener("toggle", load);
  setInterval(load, REJECTIONS_EVERY_MS);
  return { element };
}

function table(rejections) {
  if (!rejections.length) return h("p", { class: "faint" }, t("ui.rejections.empty"));
  return h("table", {},
    h("thead", {}, h("tr", {}, ["time", "stage", "reason"].map((name) => h("th", { scope: "col" }, t(`ui.rejections.${name}`))))),
    h("tbody", {}, rejections.map((item) => h("tr", {},
      h("td", {}, timeOfDay(item.time)), h("td", {}, item.stage), h("td", {}, item.reason)))));
}
