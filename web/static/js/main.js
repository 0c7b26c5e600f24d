// Puts the page together.

import { byId, write } from "./dom.js";
import { createDetails } from "./details.js";
import { createFeed } from "./feed.js";
import { createLink } from "./link.js";
import { createList } from "./list.js";
import { createMap } from "./map/map.js";
import { createNodes } from "./nodes.js";
import { createState, isLoud } from "./state.js";
import { createTable } from "./table.js";
import { createTabs } from "./tabs.js";
import { setUpThemes } from "./themes.js";
import { count, t } from "./texts.js";

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(String(event.reason)));

const title = document.title;
const state = createState();
const showTab = createTabs();
const map = createMap(state, { onSelect: choose, onNode: showNode });
const list = createList(state, choose);
const details = createDetails(state, { onShow: map.goTo, onLight: map.light });
const nodes = createNodes(state);
const table = createTable(state);
let unseen = 0;

state.onChange(list);
state.onChange(details);
state.onChange(nodes);
state.onChange(map.render);
state.onChange(table);
state.onChange(() => byId("follow").setAttribute("aria-pressed", String(state.follow)));

setInterval(() => {
  list.tick();
  details.tick();
  nodes.tick();
}, 1000);

byId("follow").addEventListener("click", () => {
  state.setFollow(!state.follow);
  if (state.follow) followNewest();
});
byId("nodes-chip").addEventListener("click", () => {
  showTab("nodes");
  byId("nodes-list").querySelector("summary")?.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) unseen = 0;
  retitle();
});
setUpThemes();

createFeed({
  onIncidents: takeIncidents,
  onNodes: state.putNodes,
  onSaid: state.putSaid,
  onLink: createLink(),
  onReady: begin,
});

function takeIncidents(incidents, { live }) {
  for (const incident of incidents) {
    const { isNews, before } = state.putIncident(incident);
    if (!live || !isNews) continue;
    const [rank, rankBefore] = [rankOf(incident), rankOf(before)];
    if (rank > rankBefore) say(incident.words.line);
    else if (rankBefore > 0 && rank === 0) say(t("ui.changed", { line: incident.words.line }));
    if (rank > 0 && rankBefore === 0) countUnseen();
    if (state.follow && isFollowed(incident) && !isFollowed(before)) select(incident);
  }
}

// How urgent an incident is: what rises is announced.
function rankOf(incident) {
  if (!incident || !isLoud(incident)) return 0;
  return incident.category === "gunfire" ? 2 : 1;
}

// A possible gunfire without a place takes nobody's eyes from one that has one.
const isFollowed = (incident) => rankOf(incident) === 2 || (rankOf(incident) === 1 && incident.lat !== null);

function countUnseen() {
  if (document.hidden) unseen += 1;
  retitle();
}

function say(line) {
  write(byId("announcer"), line);
}

// The first list is there: open the incident of the address, else the newest gunfire.
function begin() {
  if (state.ready) return;
  state.setReady();
  const wanted = new URLSearchParams(location.hash.slice(1)).get("incident");
  if (wanted && state.incidents.some((incident) => incident.id === wanted)) state.select(wanted, { byPerson: true });
  else followNewest();
  map.showAll();
}

function followNewest() {
  const newest = state.incidents.find(isFollowed);
  if (newest) select(newest);
}

function select(incident) {
  state.select(incident.id);
  map.bringIntoView(incident);
}

// A person chose an incident, in the list or on the map.
function choose(id) {
  const incident = state.incidents.find((one) => one.id === id);
  if (!incident) return;
  state.select(id, { byPerson: true });
  history.replaceState(null, "", `#${new URLSearchParams({ incident: id })}`);
  showTab("incident");
  map.bringIntoView(incident);
}

function showNode(id) {
  showTab("nodes");
  const row = byId("nodes-list").querySelector(`[data-node="${CSS.escape(id)}"]`);
  if (!row) return;
  row.open = true;
  row.scrollIntoView({ block: "nearest" });
  row.querySelector("summary").focus();
}

function retitle() {
  document.title = unseen ? `(${count("ui.new", unseen)}) ${title}` : title;
}

// A page that broke must not look as if all were quiet.
function fail(message) {
  const strip = byId("page-failed");
  write(strip, t("ui.page-failed", { error: message }));
  strip.hidden = false;
}
