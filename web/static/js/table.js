// Everything that is on the map, as tables.

import { timeOfDay, dateOf } from "./clock.js";
import { byId, h, put } from "./dom.js";
import { t } from "./texts.js";

export function createTable(state) {
  const root = byId("table");
  const map = byId("map");

  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => {
      root.hidden = button.dataset.view !== "table";
      map.hidden = !root.hidden;
      for (const other of document.querySelectorAll("[data-view]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      render();
    });
  }

  function render() {
    if (root.hidden) return;
    put(root,
      h("h3", {}, t("ui.table.incidents")),
      rows(["time", "what", "rounds", "confidence", "within", "lat", "lon", "heard-by"], state.incidents.map(incidentRow)),
      h("h3", {}, t("ui.table.nodes")),
      rows(["node", "lat", "lon", "state"], state.nodes.map(nodeRow)));
  }

  return render;
}

const HEADS = {
  time: "ui.rejections.time",
  rounds: "ui.incident.rounds",
  confidence: "ui.incident.confidence",
  within: "ui.incident.place",
  "heard-by": "ui.heard-by",
};

function rows(columns, body) {
  if (!body.length) return h("p", { class: "faint" }, t("ui.table.empty"));
  return h("table", {},
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(HEADS[name] ?? `ui.table.${name}`))))),
    h("tbody", {}, body));
}

function incidentRow(incident) {
  const known = incident.lat !== null;
  const where = [incident.words.place, known ? incident.lat.toFixed(6) : "–", known ? incident.lon.toFixed(6) : "–"];
  return h("tr", {}, [
    `${dateOf(incident.time)} ${timeOfDay(incident.time)}`,
    incident.words.category,
    incident.words.rounds,
    incident.words.confidence,
    ...where,
    incident.heard_by.join(" "),
  ].map((text) => h("td", {}, text)));
}

function nodeRow(node) {
  const known = node.lat !== null && node.lat !== undefined;
  return h("tr", {}, [
    node.id,
    known ? node.lat.toFixed(6) : "–",
    known ? node.lon.toFixed(6) : "–",
    `${node.words.state}: ${node.words.why}`,
  ].map((text) => h("td", {}, text)));
}
