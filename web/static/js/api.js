// Whom to ask: the node that this page came from, and when it does not answer, another node of the site.

import { boot } from "./texts.js";

const KEPT = "earshot-nodes";
const MAX_NODES = 25;
const PASS_EVERY_MS = 3_600_000;

const own = location.origin;
let origins = [own, ...kept().filter((origin) => origin !== own)];
let current = own;
let pass = null;
const names = new Map();

export const isElsewhere = () => current !== own;

// The name of the node that answers now, where it is known.
export const servedBy = () => names.get(current) ?? (isElsewhere() ? new URL(current).host : boot.own_node);

// Asks the current node. At another node than the page's own, the pass says whose page this is.
export function ask(path, { headers = {}, ...options } = {}) {
  if (!isElsewhere()) {
    const csrf = boot.csrf && options.method === "POST" ? { "X-Earshot-Csrf": boot.csrf } : {};
    return fetch(path, { cache: "no-store", ...options, headers: { ...headers, ...csrf } });
  }
  const proof = pass ? { Authorization: `Pass ${pass}` } : {};
  return fetch(current + path, { cache: "no-store", credentials: "omit", ...options, headers: { ...headers, ...proof } });
}

// Asks one node of the site for what only that node has.
export function askNode(node, path) {
  const origin = originOf(node?.url);
  if (!node || (node.self && !isElsewhere()) || origin === current) return ask(path);
  const proof = pass ? { Authorization: `Pass ${pass}` } : {};
  return fetch(origin + path, { cache: "no-store", credentials: "omit", headers: proof });
}

// Turns to the next node of the list; after the last comes the page's own again.
export function turn() {
  current = origins[(origins.indexOf(current) + 1) % origins.length];
}

// Keeps the addresses of the nodes that can take over. Only those of this page's kind: HTTPS never falls back.
export function learn(nodes) {
  for (const node of nodes) {
    const origin = originOf(node.url);
    if (!origin || new URL(origin).protocol !== location.protocol) continue;
    names.set(node.self && !isElsewhere() ? own : origin, node.id);
    if (node.self || origins.includes(origin) || origins.length >= MAX_NODES) continue;
    origins = [...origins, origin];
    try {
      localStorage.setItem(KEPT, JSON.stringify(origins));
    } catch {
      // They are known until the page is closed.
    }
  }
}

function originOf(url) {
  try {
    return new URL(url).origin;
  } catch {
    return null;
  }
}

function kept() {
  try {
    const list = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return list.filter((origin) => typeof origin === "string" && new URL(origin).protocol === location.protocol).slice(0, MAX_NODES - 1);
  } catch {
    return [];
  }
}

async function renew() {
  try {
    const response = await fetch("/api/pass", { cache: "no-store" });
    if (response.ok) pass = (await response.json()).pass;
  } catch {
    // The old one holds for hours.
  }
}

renew();
setInterval(renew, PASS_EVERY_MS);
