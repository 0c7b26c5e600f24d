// Nodes and incidents on the map. Areas and lines are drawn in metres, marks and words in pixels.

import { RECENT_MS, ageMs } from "../clock.js";
import { put, s } from "../dom.js";
import { isLoud } from "../state.js";
import { count, t } from "../texts.js";
import { along, ellipsePath, northReach, path, wedgePath } from "./geometry.js";

const MAX_DRAWN = 60;
const DEAF = new Set(["silent", "failed"]);
const HEARING_M = 300; // about how far a node hears a pistol over a town's noise
const RING_MS = 3_500;
const BEARING_M = 900;
const NUMBER_GAP_PX = 15;
const MAX_NUMBERED = 40;

export function createOverlay(state, { shapes, marks }) {
  const rings = new Map();
  const ruler = document.createElement("canvas").getContext("2d");
  let anchors = [];
  let shots = [];
  let drawn = "";

  // Draws anew when something that it shows changed. Returns whether it did.
  function draw(plane) {
    const incidents = shown(state);
    for (const id of state.fresh) rings.set(id, performance.now());
    const key = signature(state, incidents);
    if (key === drawn) return false;
    drawn = key;
    anchors = [];
    shots = [];
    const { selected } = state;
    put(shapes, state.nodes.filter((node) => hasPlace(node) && DEAF.has(node.state)).map((node) => hole(node, plane)), incidents.map((one) => areas(one, one.id === selected?.id, state, plane)));
    const others = incidents.filter((one) => one.id !== selected?.id && one.lat !== null);
    put(marks,
      others.map((one) => anchor(mark(one, isRinging(one.id)), plane(one.lat, one.lon))),
      state.nodes.filter(hasPlace).map((node) => anchor(nodeMark(node, selected), plane(node.lat, node.lon))),
      selected && selectedMarks(selected, plane),
      state.car && anchor(carMark(state.car), plane(state.car.lat, state.car.lon)));
    marks.classList.toggle("has-selection", Boolean(selected));
    return true;
  }

  function selectedMarks(incident, plane) {
    const others = (incident.alternatives ?? []).map((one) => anchor(alternativeMark(one), plane(one.lat, one.lon)));
    if (incident.lat === null) return others;
    shots = incident.shots.filter((shot) => shot.lat !== null).map((shot, i) => {
      const number = s("text", { class: "m-shot-number", y: -8 }, String(i + 1));
      const element = s("g", { class: `is-${incident.category}` }, s("circle", { class: `m-shot${shot.shooter > 1 ? " is-other-shooter" : ""}`, r: 5 }), number);
      return { ...anchored(element, plane(shot.lat, shot.lon)), number };
    });
    anchors.push(...shots);
    const call = callout(incident, ruler, isRinging(incident.id));
    anchors.push({ ...anchored(call.element, plane(incident.lat, incident.lon)), flag: call.flag, reach: northReach(incident.ellipse), half: call.half });
    return [others, shots.map((shot) => shot.element), call.element];
  }

  function isRinging(id) {
    return performance.now() - (rings.get(id) ?? -RING_MS) < RING_MS;
  }

  function anchor(element, point) {
    anchors.push(anchored(element, point));
    return element;
  }

  // Puts every mark where its place is now.
  function place(view) {
    for (const { element, point, flag, reach } of anchors) {
      const [x, y] = view.toScreen(point);
      element.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      flag?.setAttribute("transform", `translate(0 ${-lift(reach, view).toFixed(1)})`);
    }
    const taken = [];
    for (const { number, point } of shots.slice(0, MAX_NUMBERED)) {
      const [x, y] = view.toScreen(point);
      const isFree = taken.every(([ox, oy]) => Math.hypot(x - ox, y - oy) > NUMBER_GAP_PX);
      number.toggleAttribute("hidden", !isFree);
      if (isFree) taken.push([x, y]);
    }
    for (const { number } of shots.slice(MAX_NUMBERED)) number.setAttribute("hidden", "");
  }

  function light(i) {
    shots.forEach((shot, k) => shot.element.firstChild.classList.toggle("is-lit", k === i));
  }

  // Boxes on the screen that street names must keep clear of.
  function boxes(view) {
    return anchors.flatMap(({ point, half, reach }) => {
      const [x, y] = view.toScreen(point);
      const box = [x - 28, y - 16, x + 28, y + 34];
      if (!half) return [box];
      const bottom = y - lift(reach, view) - 20;
      return [box, [x - half, bottom - 40, x + half, bottom]];
    });
  }

  return { draw, place, light, boxes };
}

// The flag stands above the whole ellipse, as far as that stays near.
const lift = (reach, view) => Math.min(160, reach * view.scale);

const anchored = (element, point) => ({ element, point });
const hasPlace = (node) => node.lat !== null && node.lat !== undefined;

// Quiet ones first, so that what matters lies on top.
function shown(state) {
  const recent = state.incidents.slice(0, MAX_DRAWN);
  const { selected } = state;
  if (selected && !recent.includes(selected)) recent.push(selected);
  return recent.reverse().sort((a, b) => isLoud(a) - isLoud(b));
}

function signature(state, incidents) {
  return JSON.stringify([
    incidents.map((one) => [one.id, one.revision, ageMs(one.time_ns) > RECENT_MS]),
    state.nodes.map((node) => [node.id, node.state, node.lat, node.lon]),
    state.selected?.id,
    state.car && [state.car.lat, state.car.lon, state.car.heading],
  ]);
}

function areas(incident, isSelected, state, plane) {
  const category = `is-${incident.category}`;
  if (incident.lat === null) return isSelected && incident.bearing ? bearing(incident, state, plane) : null;
  const centre = plane(incident.lat, incident.lon);
  if (!isSelected) {
    if (!isLoud(incident) || ageMs(incident.time_ns) > RECENT_MS) return null;
    return s("path", { class: `m-ellipse ${category}`, d: ellipsePath(centre, incident.ellipse) });
  }
  const hearers = incident.heard_by.map((id) => state.node(id)).filter((node) => node && hasPlace(node));
  return [
    hearers.map((node) => s("path", { class: `m-arrival ${category}`, d: path([centre, plane(node.lat, node.lon)]) })),
    (incident.alternatives ?? []).map((one) => s("path", { class: `m-ellipse is-alternative ${category}`, d: ellipsePath(plane(one.lat, one.lon), one.ellipse) })),
    s("path", { class: `m-ellipse is-selected ${category}`, d: ellipsePath(centre, incident.ellipse) }),
  ];
}

// Where a node that is out would have heard.
function hole(node, plane) {
  return s("path", { class: "m-hole", d: ellipsePath(plane(node.lat, node.lon), { major_m: HEARING_M, minor_m: HEARING_M, bearing_deg: 0 }) },
    s("title", {}, t("ui.map.deaf", { node: node.id })));
}

function bearing(incident, state, plane) {
  const node = state.node(incident.bearing.from);
  if (!node || !hasPlace(node)) return null;
  const from = plane(node.lat, node.lon);
  const to = along(from, incident.bearing.deg, BEARING_M);
  return [
    s("path", { class: `m-bearing is-${incident.category}`, d: wedgePath(from, incident.bearing.deg, incident.bearing.sigma_deg, BEARING_M) }),
    s("path", { class: `m-bearing-line is-${incident.category}`, d: path([from, to]) }),
  ];
}

function mark(incident, isRinging) {
  const isOld = ageMs(incident.time_ns) > RECENT_MS;
  return s("g", { class: `m-incident is-${incident.category}${isOld ? " is-old" : ""}`, "data-incident": incident.id },
    s("title", {}, incident.words.line),
    isRinging && isLoud(incident) && s("circle", { class: "m-ring", r: 52 }),
    s("circle", { class: "m-hit", r: 15 }),
    isLoud(incident) ? loudMark(incident) : calmMark(incident));
}

function loudMark(incident) {
  const size = incident.category === "gunfire" ? 27 : 25;
  return [
    s("circle", { class: "m-back", r: 13 }),
    s("use", { href: `#s-${incident.category}`, x: -size / 2, y: -size / 2, width: size, height: size }),
    s("text", { y: incident.category === "gunfire" ? 4 : 7 }, String(incident.rounds)),
  ];
}

function calmMark(incident) {
  return [s("circle", { class: "m-back", r: 8 }), s("use", { href: `#s-${incident.category}`, x: -7, y: -7, width: 14, height: 14 })];
}

function nodeMark(node, selected) {
  const isHearer = selected?.heard_by.includes(node.id);
  return s("g", { class: `m-node is-${node.state}${isHearer ? " is-hearer" : ""}`, "data-node": node.id },
    s("title", {}, `${node.id}: ${node.words.state}, ${node.words.why}`),
    s("circle", { class: "m-hit", r: 18 }),
    node.self && s("circle", { class: "m-node-own", r: 14 }),
    s("circle", { class: "m-node-disc", r: 11 }),
    s("use", { href: `#s-${node.state}`, x: -8.5, y: -8.5, width: 17, height: 17 }),
    s("text", { class: "m-name", y: 26 }, `${node.id} `, s("tspan", { class: "m-word" }, node.words.state)));
}

function carMark({ heading }) {
  const turn = Number.isFinite(heading) ? `rotate(${Math.round(heading)})` : null;
  return s("g", { class: "m-car" },
    s("title", {}, t("patrol.car")),
    s("circle", { class: "m-back", r: 15 }),
    turn ? s("path", { d: "M0-11 8 9 0 5-8 9z", transform: turn }) : s("circle", { r: 8 }));
}

function alternativeMark(alternative) {
  return s("g", {}, s("text", { class: "m-name", y: 4 }, `${Math.round(100 * alternative.probability)} %`));
}

// A flag above the place, so that the rounds below stay visible.
function callout(incident, ruler, isRinging) {
  const text = `${incident.words.category} · ${count("rounds", incident.rounds)}`;
  ruler.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const width = ruler.measureText(text).width + 38;
  const flag = s("g", {},
    s("path", { class: "m-call", d: callPath(width) }),
    s("use", { href: `#s-${incident.category}`, x: -width / 2 + 9, y: -47, width: 15, height: 15 }),
    s("text", { class: "m-call-text", x: 29 - width / 2, y: -35.5 }, text));
  const element = s("g", { class: `m-incident is-${incident.category}`, "data-incident": incident.id },
    s("title", {}, incident.words.line),
    isRinging && s("circle", { class: "m-ring", r: 64 }),
    flag);
  return { element, flag, half: width / 2 };
}

function callPath(width) {
  const half = width / 2;
  return `M0-16l-6-9H${4 - half}a4 4 0 0 1-4-4v-21a4 4 0 0 1 4-4H${half - 4}a4 4 0 0 1 4 4v21a4 4 0 0 1-4 4H6z`;
}
