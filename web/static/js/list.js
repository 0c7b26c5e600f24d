// The list of incidents, newest first. Cards are changed in place, so that focus and scrolling stay.

import { RECENT_MS, ageMs, ageText } from "./clock.js";
import { byId, h, put, shape, write } from "./dom.js";
import { isLoud } from "./state.js";
import { count, t } from "./texts.js";

const MAX_NAMES = 5;
const FLASH_EVERY_MS = 3_000;
const UPDATED_MS = 20_000;
const OVERDUE_MS = 60_000; // nobody has said for so long that they go
const CALL_FOR_MS = 30 * 60_000;

export function createList(state, onSelect) {
  const list = byId("cards");
  const empty = byId("incidents-empty");
  const cards = new Map();

  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => state.setFilter(button.dataset.filter));
  }

  function render() {
    const listed = state.listed;
    for (const [id, card] of cards) {
      if (!listed.some((incident) => incident.id === id)) {
        card.element.remove();
        cards.delete(id);
      }
    }
    listed.forEach((incident, i) => {
      const card = cards.get(incident.id) ?? create(incident.id);
      card.show(incident, state.fresh.has(incident.id));
      card.element.setAttribute("aria-current", String(incident.id === state.selected?.id));
      if (list.children[i] !== card.element) list.insertBefore(card.element, list.children[i] ?? null);
    });
    for (const button of document.querySelectorAll("[data-filter]")) {
      button.setAttribute("aria-pressed", String(button.dataset.filter === state.filter));
    }
    write(byId("incidents-count"), listed.length ? String(listed.length) : "");
    showEmpty(listed.length);
  }

  function showEmpty(shown) {
    list.hidden = shown === 0;
    empty.hidden = shown > 0 || !state.ready;
    if (empty.hidden) return;
    const hidden = state.incidents.length;
    const key = hidden ? "ui.incidents.none-gunfire" : "ui.incidents.empty";
    put(empty, h("p", { class: "empty-title" }, t(key)), h("p", {}, t(`${key}.why`, { n: hidden })));
  }

  function create(id) {
    const card = createCard(() => onSelect(id));
    cards.set(id, card);
    return card;
  }

  render.tick = () => {
    for (const card of cards.values()) card.tick();
  };
  return render;
}

function createCard(onClick) {
  let incident = null;
  const icon = h("span");
  const what = h("span", { class: "card-what" });
  let changedMs = -Infinity;
  let flashedMs = -Infinity;
  const updated = h("span", { class: "card-updated", title: t("ui.updated"), hidden: true }, h("span", { class: "sr-only" }, t("ui.updated")));
  const time = h("span");
  const age = h("span", { class: "card-age" }, updated, " ", time);
  const facts = h("span", { class: "card-facts" });
  const units = h("span", { class: "card-units" });
  const button = h("button", { type: "button", class: "card-button", onclick: onClick }, icon, what, age, facts, units);
  const element = h("li", {}, button);

  function tick() {
    const ms = ageMs(incident.time_ns);
    write(time, ageText(ms));
    element.classList.toggle("is-recent", ms < RECENT_MS);
    showUnits(ms);
    updated.hidden = performance.now() - changedMs > UPDATED_MS;
  }

  // Who is on it; and while nobody is, for how long already.
  function showUnits(ms) {
    const said = (incident.acknowledgements ?? []).filter((one) => one.state !== "declined");
    const isOpen = isLoud(incident) && !said.length && ms < CALL_FOR_MS;
    units.hidden = !said.length && !isOpen;
    units.classList.toggle("is-overdue", isOpen && ms > OVERDUE_MS);
    write(units, isOpen
      ? t("ui.unacknowledged", { age: ageText(ms) })
      : said.map((one) => `${one.unit} ${t(`unit-state.${one.state}`)}`).join(" · "));
  }

  // A burst may bring a revision with each round; a card that flashed with each would flicker.
  function flash() {
    if (performance.now() - flashedMs < FLASH_EVERY_MS) return;
    flashedMs = performance.now();
    element.classList.remove("flash");
    void element.offsetWidth; // restarts the animation
    element.classList.add("flash");
  }

  function show(next, isFresh) {
    if (next !== incident) {
      const isRevision = incident !== null;
      incident = next;
      element.className = `card is-${next.category} ${isLoud(next) ? "card-loud" : "card-calm"}`;
      element.classList.toggle("card-cancelled", next.status === "cancelled");
      element.dataset.incident = next.id;
      icon.replaceChildren(shape(next.category));
      write(what, next.words.category);
      put(facts, isLoud(next) ? loudFacts(next) : calmFacts(next));
      if (isFresh && isRevision) changedMs = performance.now();
      if (isFresh) flash();
    }
    tick();
  }

  return { element, show, tick };
}

function loudFacts(incident) {
  return [
    h("span", { class: "card-row" },
      h("span", { class: "card-strong" }, `${count("rounds", incident.rounds)} · ${incident.words.shooters}`),
      h("span", {}, incident.words.confidence)),
    incident.address && h("span", { class: "card-row card-strong" }, incident.address),
    h("span", { class: "card-row" }, h("span", {}, incident.words.place), names(incident.heard_by, MAX_NAMES)),
  ];
}

function calmFacts(incident) {
  return [h("span", { class: "card-row" }, h("span", { class: "card-short" }, incident.words.place), h("span", {}, incident.words.confidence))];
}

// The nodes that heard it; of many, the first ones and how many more there are.
export function names(ids, most = Infinity) {
  const shown = ids.length > most ? ids.slice(0, most - 1) : ids;
  const more = ids.length - shown.length;
  return h("span", { class: "names", title: `${t("ui.heard-by")} ${ids.join(", ")}` },
    h("span", { class: "sr-only" }, `${t("ui.heard-by")} `),
    shown.map((id) => h("span", { class: "tag" }, id)),
    more > 0 && h("span", { class: "tag" }, t("ui.more", { n: more })));
}
