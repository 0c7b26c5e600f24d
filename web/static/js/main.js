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
setUpTheme();

createFeed({
  onIncidents: takeIncidents,
  onNodes: state.putNodes,
  onLink: createLink(),
  onReady: begin,
});

function takeIncidents(incidents, { live }) {
  for (const incident of incidents) {
    const { isNews, before } = state.putIncident(incident);
    if (!live || !isNews) continue;
    const wasLoud = Boolean(before && isLoud(before));
    if (isLoud(incident) && !wasLoud) announce(incident);
    else if (wasLoud && !isLoud(incident)) say(t("ui.changed", { line: incident.words.line }));
  }
}

function announce(incident) {
  say(incident.words.line);
  if (document.hidden) unseen += 1;
  retitle();
  if (state.follow) select(incident);
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
  const newest = state.incidents.find(isLoud);
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

function setUpTheme() {
  const order = ["auto", "day", "night"];
  const button = byId("theme");
  const root = document.documentElement;
  const show = () => {
    const word = t(`ui.theme.${root.dataset.theme ?? "auto"}`);
    write(button, word);
    button.setAttribute("aria-label", t("ui.theme.label", { theme: word }));
  };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % order.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("earshot-theme", next);
    } catch {
      // It holds until the page is closed.
    }
    show();
  });
  show();
}

// A page that broke must not look as if all were quiet.
function fail(message) {
  const strip = byId("page-failed");
  write(strip, t("ui.page-failed", { error: message }));
  strip.hidden = false;
}
