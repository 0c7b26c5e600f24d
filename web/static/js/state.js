// What the page knows: incidents, nodes, and which incident is selected. Tells its listeners once per frame.

const MAX_INCIDENTS = 300;

export function createState() {
  const incidents = new Map();
  const nodes = new Map();
  const fresh = new Set();
  const listeners = [];
  let selected = null;
  let car = null;
  let follow = true;
  let filter = "all";
  let ready = false;
  let pending = false;

  function changed() {
    if (pending) return;
    pending = true;
    // Not requestAnimationFrame: a page in a hidden tab must keep its title and its announcements.
    queueMicrotask(() => {
      pending = false;
      for (const listener of listeners) listener();
      fresh.clear();
    });
  }

  // Takes an incident in. Returns whether it is news, and what it was before, if it was known.
  function putIncident(incident) {
    const before = incidents.get(incident.id);
    if (before && before.revision >= incident.revision) {
      // What people say changes without a revision, and may have been missed.
      incidents.set(incident.id, { ...before, acknowledgements: incident.acknowledgements, reviews: incident.reviews });
      changed();
      return { isNews: false, before };
    }
    const merged = (incident.aliases ?? []).filter((id) => id !== incident.id && incidents.has(id));
    if (merged.includes(selected)) selected = incident.id;
    const earlier = before ?? merged.map((id) => incidents.get(id))[0] ?? null;
    for (const id of merged) incidents.delete(id);
    incidents.set(incident.id, incident);
    if (ready) fresh.add(incident.id);
    drop();
    changed();
    return { isNews: true, before: earlier };
  }

  // Takes in what somebody said of an incident. Returns the incident, or null where it is not known here.
  function putSaid(kind, said) {
    const subjects = { acknowledgement: ["acknowledgements", "unit"], review: ["reviews", "by"] }[kind];
    const incident = find(said.incident);
    if (!subjects || !incident) return null;
    const [list, subject] = subjects;
    const others = (incident[list] ?? []).filter((one) => one[subject] !== said[subject]);
    const now = { ...incident, [list]: [...others, said].sort((a, b) => a.time_ns - b.time_ns) };
    incidents.set(incident.id, now);
    changed();
    return now;
  }

  const find = (id) => incidents.get(id) ?? [...incidents.values()].find((one) => one.aliases?.includes(id)) ?? null;

  function drop() {
    if (incidents.size <= MAX_INCIDENTS) return;
    const oldest = sorted().slice(MAX_INCIDENTS);
    for (const incident of oldest) if (incident.id !== selected) incidents.delete(incident.id);
  }

  function putNodes(list, { whole = false } = {}) {
    if (whole) nodes.clear();
    for (const node of list) {
      if (node.removed) nodes.delete(node.id);
      else nodes.set(node.id, node);
    }
    changed();
  }

  const sorted = () => [...incidents.values()].sort((a, b) => b.time_ns - a.time_ns || (a.id < b.id ? 1 : -1));

  return {
    putIncident,
    putNodes,
    putSaid,
    find,
    setCar(place) {
      car = place;
      changed();
    },
    get car() { return car; },
    onChange: (listener) => listeners.push(listener),
    setReady() {
      ready = true;
      changed();
    },
    select(id, { byPerson = false } = {}) {
      if (byPerson) follow = false;
      selected = id;
      changed();
    },
    setFollow(on) {
      follow = on;
      changed();
    },
    setFilter(name) {
      filter = name;
      changed();
    },
    get ready() { return ready; },
    get follow() { return follow; },
    get filter() { return filter; },
    get selected() { return incidents.get(selected) ?? null; },
    get fresh() { return fresh; },
    get incidents() { return sorted(); },
    get listed() { return filter === "all" ? sorted() : sorted().filter(isLoud); },
    get nodes() { return [...nodes.values()].sort((a, b) => (b.self ? 1 : 0) - (a.self ? 1 : 0) || (a.id < b.id ? -1 : 1)); },
    node: (id) => nodes.get(id) ?? null,
  };
}

const LOUD = new Set(["gunfire", "possible-gunfire"]);

// What a person must look at; fireworks, other sounds and what was cancelled stay calm.
export const isLoud = (incident) => LOUD.has(incident.category) && incident.status !== "cancelled";
