// Which incidents call for this car, what is new about them, and when the call sounds again. No page, no sound.

import { isLoud } from "../state.js";
import { fromTo } from "./car.js";

const CALL_FOR_MS = 30 * 60_000; // an alert that nobody acknowledged for so long is past
const SHOWN_FOR_MS = 4 * 3_600_000;
const LATE_MS = 60_000;
const OFTEN_MS = 5_000;
const OFTEN_FOR_MS = 60_000;
const SELDOM_MS = 30_000;
const MOVED_M = 15;

export const STEPS = ["acknowledged", "en-route", "on-scene"];

export function createAlerts(nowMs) {
  const known = new Map();

  // Takes an incident in. Returns what is to be announced of it: null, or its kind with numbers.
  function take(incident, { live }) {
    const before = known.get(incident.id) ?? incident.aliases?.map((id) => known.get(id)).find(Boolean);
    if (before && before.incident.id !== incident.id) known.delete(before.incident.id);
    const entry = before ?? { since: nowMs(), isLate: live && nowMs() - incident.time_ns / 1e6 > LATE_MS, lastCall: -Infinity };
    const was = before?.incident;
    known.set(incident.id, { ...entry, incident });
    if (!live) return null;
    return was ? change(was, incident) : isLoud(incident) ? { kind: "new" } : null;
  }

  function change(was, now) {
    if (was.revision >= now.revision) return null;
    if (now.status === "cancelled" && was.status !== "cancelled") return { kind: "cancelled" };
    if (isLoud(was) && !isLoud(now)) return { kind: "downgraded" };
    if (!isLoud(now)) return null;
    if (!isLoud(was) || (was.category !== "gunfire" && now.category === "gunfire")) return { kind: "upgraded" };
    if (was.lat === null && now.lat !== null) return { kind: "placed" };
    if (was.lat !== null && now.lat !== null) {
      const move = fromTo(was, now);
      if (move.metres > MOVED_M) return { kind: "moved", ...move };
    }
    return was.rounds === now.rounds ? null : { kind: "rounds" };
  }

  const said = (incident) => {
    const entry = known.get(incident.id);
    if (entry) known.set(incident.id, { ...entry, incident });
  };

  const stateOf = (incident, unit) => incident.acknowledgements?.findLast((one) => one.unit === unit)?.state ?? null;

  const ageMs = (entry) => nowMs() - Math.max(entry.incident.time_ns / 1e6, entry.isLate ? entry.since : 0);

  // What some unit has cleared, or a person has found to be something else, calls nobody any more.
  const isOver = ({ acknowledgements = [], reviews = [] }) => acknowledgements.some((one) => one.state === "clear") || reviews.at(-1)?.verdict === "not-gunfire";

  // Those that still call for this unit, the newest first.
  const calling = (unit) => shown().filter(({ incident, ...entry }) => isLoud(incident) && !isOver(incident)
    && ageMs({ incident, ...entry }) < CALL_FOR_MS && !stateOf(incident, unit));

  const shown = () => [...known.values()]
    .filter((entry) => nowMs() - entry.incident.time_ns / 1e6 < SHOWN_FOR_MS)
    .sort((a, b) => b.incident.time_ns - a.incident.time_ns);

  // The alert whose call is due now, if there is one; it counts as called.
  function due(unit) {
    for (const entry of calling(unit)) {
      const every = nowMs() - entry.since < OFTEN_FOR_MS ? OFTEN_MS : SELDOM_MS;
      if (nowMs() - entry.lastCall < every) continue;
      known.set(entry.incident.id, { ...entry, lastCall: nowMs() });
      return entry.incident;
    }
    return null;
  }

  // What the car should look at: what calls, else what this unit is busy with, else the newest.
  function foremost(unit) {
    const entries = shown().filter((entry) => isLoud(entry.incident) || stateOf(entry.incident, unit));
    const busy = entries.find((entry) => STEPS.includes(stateOf(entry.incident, unit)));
    return (calling(unit)[0] ?? busy ?? entries[0])?.incident ?? null;
  }

  return {
    take,
    said,
    due,
    foremost,
    calling,
    shown,
    stateOf,
    isLate: (id) => known.get(id)?.isLate ?? false,
  };
}
