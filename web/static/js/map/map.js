// The map: ground, nodes, incidents, and the ways to move it.

import { byId, s } from "../dom.js";
import { t } from "../texts.js";
import { createBase } from "./base.js";
import { createFurniture } from "./furniture.js";
import { along, boundsOf, createPlane } from "./geometry.js";
import { createOverlay } from "./overlay.js";
import { createView } from "./view.js";

const MARGIN_PX = 44;
const LABEL_DELAY_MS = 120;
const COVERS = ".map-controls, .map-switch, .map-foot, .map-legend, .map-note";
const BEARING_SHOWN_M = 300; // how much of a bearing must be in sight

export function createMap(state, { onSelect, onNode }) {
  const element = byId("map");
  const ground = s("g");
  const shapes = s("g");
  const labels = s("g", { "aria-hidden": "true" });
  const marks = s("g");
  const world = s("g", { class: "world" }, ground, shapes);
  const svg = s("svg", { role: "presentation" }, world, labels, marks);
  element.append(svg);

  const base = createBase(ground, labels);
  const overlay = createOverlay(state, { shapes, marks });
  const view = createView(element, { onMove: move, onTap: tap, onResize: showAll });
  const furniture = createFurniture(element, view, showAll);
  let plane = null;
  let collection = null;
  let groundPoints = [];
  let labelTimer = 0;
  let isFramed = false;

  element.addEventListener("keydown", (event) => {
    if (event.key === "0" && event.target === element) showAll();
  });
  load();

  async function load() {
    try {
      const response = await fetch("/api/map");
      const body = await response.json();
      if (!response.ok) throw new Error(body.error);
      collection = body;
      if (!body.features.length) furniture.say(t("ui.map.no-streets"));
    } catch (error) {
      collection = { features: [] };
      furniture.say(t("ui.map.failed", { error: error.message }));
    }
    settle();
  }

  // The plane's origin is the first place that is known; after that it stays.
  function settle() {
    if (plane || !collection) return;
    const node = state.nodes.find((one) => Number.isFinite(one.lat));
    const incident = state.incidents.find((one) => one.lat !== null);
    const place = node ?? incident ?? firstPlace(collection);
    if (!place) return;
    plane = createPlane(place.lat, place.lon);
    groundPoints = collection.features.length ? base.draw(collection, plane) : [];
    if (!groundPoints.length) base.drawGrid();
    render();
    showAll();
  }

  function render() {
    if (!plane) settle();
    if (!plane || !overlay.draw(plane)) return;
    overlay.place(view);
    scheduleLabels();
    if (!isFramed && state.nodes.length) showAll();
  }

  function move() {
    const { x, y, scale, width, height } = view;
    world.setAttribute("transform", `matrix(${scale} 0 0 ${-scale} ${width / 2 - x * scale} ${height / 2 + y * scale})`);
    base.rescale(view, svg);
    overlay.place(view);
    furniture.rescale();
    labels.toggleAttribute("hidden", true);
    scheduleLabels();
  }

  function scheduleLabels() {
    clearTimeout(labelTimer);
    labelTimer = setTimeout(() => {
      base.label(view, [...overlay.boxes(view), ...covered()]);
      labels.toggleAttribute("hidden", false);
    }, LABEL_DELAY_MS);
  }

  // What buttons and notes hide of the map.
  function covered() {
    const frame = element.getBoundingClientRect();
    return [...document.querySelectorAll(COVERS)].map((part) => {
      const box = part.getBoundingClientRect();
      return [box.left - frame.left, box.top - frame.top, box.right - frame.left, box.bottom - frame.top];
    });
  }

  function tap(target) {
    const incident = target?.closest("[data-incident]");
    const node = target?.closest("[data-node]");
    if (incident) onSelect(incident.dataset.incident);
    else if (node) onNode(node.dataset.node);
    return Boolean(incident ?? node);
  }

  function showAll() {
    if (!plane) return;
    const { selected } = state;
    const places = [...state.nodes, ...(selected ? [selected] : [])].filter((one) => Number.isFinite(one.lat));
    const points = places.length ? places.map((one) => plane(one.lat, one.lon)) : groundPoints;
    if (!points.length) return;
    isFramed = state.nodes.length > 0;
    view.fit(boundsOf(points));
  }

  // Moves only when the incident or a node that heard it is out of sight.
  function bringIntoView(incident) {
    if (!plane) return;
    const nodes = incident.heard_by.map(state.node).filter((node) => Number.isFinite(node?.lat));
    const places = incident.lat === null ? nodes : [incident, ...nodes];
    const points = places.map((one) => plane(one.lat, one.lon));
    const from = incident.bearing && nodes.find((node) => node.id === incident.bearing.from);
    if (from && incident.lat === null) points.push(along(plane(from.lat, from.lon), incident.bearing.deg, BEARING_SHOWN_M));
    if (points.length && !view.shows(points, MARGIN_PX)) view.fit(boundsOf(points), view.scale);
  }

  function goTo(incident) {
    if (plane && incident.lat !== null) view.centre(plane(incident.lat, incident.lon), Math.min(5, Math.max(0.6, 90 / incident.ellipse.major_m)));
  }

  return { render, showAll, bringIntoView, goTo, light: overlay.light };
}

function firstPlace(collection) {
  let coordinates = collection.features[0]?.geometry?.coordinates;
  while (Array.isArray(coordinates?.[0])) coordinates = coordinates[0];
  return Number.isFinite(coordinates?.[1]) ? { lon: coordinates[0], lat: coordinates[1] } : null;
}
