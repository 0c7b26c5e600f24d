// Puts the patrol page together.

import { nowMs } from "../clock.js";
import { byId, h, put, write } from "../dom.js";
import { createFeed } from "../feed.js";
import { createLink } from "../link.js";
import { createMap } from "../map/map.js";
import { createState } from "../state.js";
import { boot, count, t } from "../texts.js";
import { setUpThemes, themeChoice } from "../themes.js";
import { createActs } from "./acts.js";
import { createAlerts } from "./alerts.js";
import { compassOf, createCar, fromTo } from "./car.js";
import { createCard, lengthText, where } from "./card.js";
import { createOutbox } from "./outbox.js";
import { createShift } from "./shift.js";
import { createSound } from "./sound.js";
import { isNight } from "./sun.js";

const CURSOR = "earshot-patrol-cursor";
const NEWS_MS = 20_000;
const NO_LINK_EVERY_MS = 30_000;
const ACTING = ["installer", "analyst", "patrol"];

addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(String(event.reason)));

const state = createState();
const sound = createSound(boot.language);
const alerts = createAlerts(nowMs);
const car = createCar(moved);
const outbox = createOutbox(() => acts?.tick());
const shift = createShift({ sound, car, isLinked: () => linked, onStart: begin });
const map = createMap(state, { onSelect: choose, onNode: () => {} });
const card = createCard(car, alerts, choose);
const acts = ACTING.includes(boot.role) ? createActs({ outbox, alerts, unitOf: () => shift.unit, onPress: pressed }) : null;
const showLink = createLink();
let linked = false;
let lostSoundMs = -Infinity;
let newsUntilMs = 0;
let chosen = null;
let wakeLock = null;

if (!acts) byId("acts").hidden = true;
state.onChange(map.render);
state.onChange(render);
setUpThemes();
setInterval(tick, 500);

createFeed({
  onIncidents: takeIncidents,
  onNodes: state.putNodes,
  onSaid: takeSaid,
  onLink: takeLink,
  onReady: () => {
    state.setReady();
    map.showAll();
    render();
  },
  onCursor: keepCursor,
  since: keptCursor(),
});
shift.open();

function takeIncidents(incidents, { live }) {
  for (const incident of [...incidents].reverse()) {
    state.putIncident(incident);
    announce(alerts.take(incident, { live }), incident);
  }
  render();
}

// What somebody did about an alert; on another car within the time of one event.
function takeSaid(kind, said) {
  if (kind === "exercise") {
    sound.call();
    news(t("patrol.exercise", { words: said.words }));
    sound.say(t("patrol.exercise", { words: said.words }));
    return;
  }
  const incident = state.putSaid(kind, said);
  if (incident) alerts.said(incident);
  render();
}

// One's own press shows at once; the node's record takes its place.
function pressed(press) {
  takeSaid("acknowledgement", press);
  chosen = press.incident;
}

function announce(what, incident) {
  if (!what) return;
  const line = t(`patrol.news.${what.kind}`, {
    what: incident.words.category,
    rounds: count("rounds", incident.rounds),
    distance: what.metres ? lengthText(what.metres) : "",
    compass: what.metres ? t(`compass.${compassOf(what.bearing)}`) : "",
  });
  if (what.kind === "new" || what.kind === "upgraded") {
    chosen = null; // what is new goes before what was chosen
    write(byId("announcer"), incident.words.line);
    return;
  }
  news(line);
  if (what.kind === "cancelled" || what.kind === "downgraded") sound.ended();
  sound.say(line);
}

function news(line) {
  newsUntilMs = performance.now() + NEWS_MS;
  write(byId("news"), line);
  byId("news").hidden = false;
}

function choose(id) {
  chosen = id;
  render();
}

function render() {
  const incident = (chosen && state.find(chosen)) ?? alerts.foremost(shift.unit);
  if (incident && state.selected?.id !== incident.id) {
    state.select(incident.id);
    map.bringIntoView(incident);
  }
  card.render(incident, shift.unit);
  acts?.render(incident);
  write(byId("unit"), shift.unit || t("shift.unit"));
}

function tick() {
  card.tick();
  acts?.tick();
  const { fix } = car;
  write(byId("position"), fix ? t("patrol.gps.age", { seconds: Math.round(car.ageMs / 1000) }) : t(`patrol.gps.${car.problem}`));
  write(byId("sound"), t(sound.isArmed() ? "patrol.sound.on" : "patrol.sound.none"));
  byId("silent").hidden = sound.isArmed() || shift.isOpen;
  if (performance.now() > newsUntilMs) byId("news").hidden = true;
  document.body.dataset.motion = car.isMoving ? "moving" : "still";
  callIfDue();
  followSun();
}

function callIfDue() {
  if (shift.isOpen) return;
  const incident = alerts.due(shift.unit);
  if (!incident) return;
  sound.call();
  sound.say(spoken(incident));
}

function spoken(incident) {
  const parts = [incident.words.category, count("rounds", incident.rounds)];
  if (incident.address) parts.push(where(incident));
  if (car.fix && incident.lat !== null) {
    const { metres, bearing } = fromTo(car.fix, incident);
    parts.push(lengthText(metres), t(`compass.${compassOf(bearing)}`));
  }
  return parts.join(", ");
}

function takeLink(link) {
  showLink(link);
  linked = link.status === "live" && !link.isLost;
  if (linked) outbox.send();
  if (link.isLost && performance.now() - lostSoundMs > NO_LINK_EVERY_MS) {
    lostSoundMs = performance.now();
    sound.noLink();
    sound.say(t("patrol.no-link.spoken"));
  }
  if (linked) lostSoundMs = -Infinity;
}

function moved() {
  if (car.fix) state.setCar(car.fix);
  card.tick();
}

function begin() {
  render();
  holdScreen();
}

// The screen must not go dark; the lock ends whenever the page is hidden.
async function holdScreen() {
  try {
    wakeLock = (await navigator.wakeLock?.request("screen")) ?? null;
  } catch {
    wakeLock = null;
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !shift.isOpen && (wakeLock === null || wakeLock.released)) holdScreen();
});

// Without a choice of colours the sun at the car chooses.
function followSun() {
  if (themeChoice() !== "auto" || !car.fix) return;
  const { dataset } = document.documentElement;
  const now = isNight(nowMs(), car.fix.lat, car.fix.lon) ? "night" : "day";
  if (dataset.theme === now) return;
  dataset.theme = now;
  try {
    localStorage.setItem("earshot-sun", now);
  } catch {
    // The next load begins with the system's colours.
  }
}

function keepCursor(cursor) {
  try {
    localStorage.setItem(CURSOR, cursor);
  } catch {
    // After the next load nothing counts as missed.
  }
}

function keptCursor() {
  try {
    return localStorage.getItem(CURSOR);
  } catch {
    return null;
  }
}

byId("unit").addEventListener("click", shift.open);
byId("silent").addEventListener("click", async () => {
  await sound.arm();
  sound.call();
});
byId("side").addEventListener("click", () => {
  const { dataset } = byId("car");
  dataset.side = dataset.side === "right" ? "left" : "right";
});

// A page that broke must not look as if all were quiet.
function fail(message) {
  const strip = byId("page-failed");
  put(strip, h("span", {}, t("ui.page-failed", { error: message })));
  strip.hidden = false;
}
