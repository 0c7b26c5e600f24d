// The ground: streets, blocks, buildings, parks and water of a GeoJSON file, or a grid where there is none.

import { put, s } from "../dom.js";
import { path } from "./geometry.js";

const AREAS = ["water", "park", "block", "building"];
const WIDTHS = { minor: [8, 1.2, 26], major: [14, 2, 40], path: [3, 0.8, 8] }; // metres, least and most pixels
const MAJOR = new Set(["major", "primary", "secondary", "trunk", "motorway", "arterial", "main"]);
const PATHS = new Set(["path", "footway", "cycleway", "steps", "track", "pedestrian", "alley", "service"]);
const GRID_M = 100;
const GRID_LINES = 20;
const DETAIL_PX_PER_M = 0.3; // below this buildings are dust

export function createBase(ground, labels) {
  let streets = [];
  let buildings = null;

  // Draws the features and returns all their points, in metres.
  function draw(collection, plane) {
    const areas = new Map(AREAS.map((name) => [name, []]));
    const lines = { path: [], minor: [], major: [] };
    const points = [];
    streets = [];
    for (const feature of collection.features) {
      for (const [type, coordinates] of parts(feature.geometry)) {
        const properties = feature.properties ?? {};
        const place = (list) => list.filter(isPosition).map(([lon, lat]) => plane(lat, lon));
        if (type === "Polygon") {
          const rings = coordinates.map(place);
          areas.get(areaOf(properties)).push(...rings.map((ring) => `${path(ring)}z`));
          points.push(...rings.flat());
        } else if (type === "LineString" && coordinates.length > 1) {
          const line = place(coordinates);
          lines[streetOf(properties)].push(path(line));
          points.push(...line);
          if (properties.name) streets.push({ name: String(properties.name), line: dense(line), isMajor: streetOf(properties) === "major" });
        }
      }
    }
    const order = ["path", "minor", "major"];
    put(ground,
      AREAS.map((name) => s("path", { class: `m-${name}`, d: areas.get(name).join(""), "fill-rule": "evenodd" })),
      order.map((name) => s("path", { class: `m-edge m-${name}`, d: lines[name].join("") })),
      order.map((name) => s("path", { class: `m-street m-${name}`, d: lines[name].join("") })));
    buildings = ground.querySelector(".m-building");
    return points;
  }

  function drawGrid() {
    const reach = GRID_M * GRID_LINES;
    const lines = [];
    for (let i = -GRID_LINES; i <= GRID_LINES; i += 1) {
      lines.push(path([[i * GRID_M, -reach], [i * GRID_M, reach]]), path([[-reach, i * GRID_M], [reach, i * GRID_M]]));
    }
    put(ground, s("path", { class: "m-grid", d: lines.join("") }));
  }

  function rescale(view, svg) {
    for (const [name, [metres, least, most]] of Object.entries(WIDTHS)) {
      const width = Math.min(most, Math.max(least, metres * view.scale));
      svg.style.setProperty(`--width-${name}`, `${width.toFixed(2)}px`);
    }
    buildings?.toggleAttribute("hidden", view.scale < DETAIL_PX_PER_M);
  }

  // Names along the streets, the wide ones first, none over another.
  function label(view, taken) {
    const texts = [];
    const boxes = [...taken];
    const order = [...streets].sort((a, b) => b.isMajor - a.isMajor);
    for (const street of order) {
      const spot = spotFor(street, view, boxes);
      if (!spot) continue;
      boxes.push(spot.box);
      const [x, y] = spot.at;
      texts.push(s("text", { class: "m-label", dy: "3.5", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${spot.angle.toFixed(1)})` }, street.name));
    }
    put(labels, texts);
  }

  return { draw, drawGrid, rescale, label };
}

const LABEL_STEP_M = 20;

// The line with points often enough for a name to find its place on a long straight.
function dense(line) {
  return line.flatMap((point, i) => {
    const next = line[i + 1];
    if (!next) return [point];
    const n = Math.min(500, Math.max(1, Math.ceil(distance(point, next) / LABEL_STEP_M)));
    return Array.from({ length: n }, (_, k) => [point[0] + ((next[0] - point[0]) * k) / n, point[1] + ((next[1] - point[1]) * k) / n]);
  });
}

const CHAR_PX = 6.3;

// The place nearest the middle of the visible part of a street where its name fits.
function spotFor(street, view, boxes) {
  const inside = street.line.map((point) => view.toScreen(point)).filter(([x, y]) => x > 8 && y > 8 && x < view.width - 8 && y < view.height - 8);
  if (inside.length < 2) return null;
  const width = street.name.length * CHAR_PX;
  const tries = [0.5, 0.32, 0.68, 0.2, 0.8];
  for (const share of tries) {
    const i = Math.min(inside.length - 2, Math.max(0, Math.round(share * (inside.length - 1))));
    const [from, to] = stretch(inside, i, width);
    if (!from) continue;
    const at = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    let angle = (Math.atan2(to[1] - from[1], to[0] - from[0]) * 180) / Math.PI;
    if (angle > 90 || angle <= -90) angle += 180;
    const across = Math.abs(Math.cos((angle * Math.PI) / 180)) * width + 14;
    const down = Math.abs(Math.sin((angle * Math.PI) / 180)) * width + 14;
    const box = [at[0] - across / 2, at[1] - down / 2, at[0] + across / 2, at[1] + down / 2];
    if (!boxes.some((other) => overlaps(box, other))) return { at, angle, box };
  }
  return null;
}

// Two points of the line around index i that lie at least `width` apart and nearly on a straight line.
function stretch(line, i, width) {
  let from = i;
  let to = i + 1;
  let length = distance(line[from], line[to]);
  while (length < width && (from > 0 || to < line.length - 1)) {
    if (from > 0) from -= 1;
    if (to < line.length - 1) to += 1;
    length = distance(line[from], line[to]);
  }
  return length >= width ? [line[from], line[to]] : [null, null];
}

const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
const overlaps = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

// The simple geometries inside any GeoJSON geometry.
function parts(geometry) {
  if (!geometry) return [];
  if (geometry.type === "GeometryCollection") return (geometry.geometries ?? []).flatMap(parts);
  if (!Array.isArray(geometry.coordinates)) return [];
  if (geometry.type.startsWith("Multi")) return geometry.coordinates.map((one) => [geometry.type.slice(5), one]);
  return [[geometry.type, geometry.coordinates]];
}

const isPosition = (point) => Array.isArray(point) && Number.isFinite(point[0]) && Number.isFinite(point[1]);

function areaOf(properties) {
  const word = String(properties.kind ?? properties.natural ?? properties.leisure ?? properties.landuse ?? "");
  if (AREAS.includes(word)) return word;
  if (properties.building || word === "house") return "building";
  if (/water|river|lake/.test(word)) return "water";
  if (/grass|forest|wood|garden|pitch|green/.test(word)) return "park";
  return "block";
}

function streetOf(properties) {
  const word = String(properties.class ?? properties.highway ?? properties.kind ?? "");
  if (MAJOR.has(word)) return "major";
  return PATHS.has(word) ? "path" : "minor";
}
