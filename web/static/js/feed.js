// Reads the node's stream of events with fetch: unlike EventSource it shows heartbeats, statuses and Retry-After.

import { ask, isElsewhere, learn, turn } from "./api.js";
import { setNodeTime } from "./clock.js";

const LOST_MS = 10_000; // two heartbeats missed: the strip must be there within 12 s
const BROKEN_MS = 4_000; // a node that refuses the connection is known to be gone sooner
const STALE_MS = 11_000; // a stream that says nothing for so long is opened anew
const ANSWER_MS = 4_000; // a node that is switched off answers nothing at all
const SAID = new Set(["acknowledgement", "review", "exercise"]);
const WAITS_MS = [300, 1_000, 2_000, 3_000];

// `since`: where the page read to when it was last open; what came after it is handed over as missed.
export function createFeed({ onIncidents, onNodes, onSaid = () => {}, onLink, onReady, onCursor = () => {}, since = null }) {
  let cursor = null;
  let begunWith = since;
  let heardMs = performance.now();
  let status = "connecting";
  let mesh = "unused";
  let failures = 0;
  let controller = null;
  let skipWait = null;

  async function run() {
    for (;;) {
      let waitMs = 0;
      try {
        waitMs = await connect();
        failures = 0;
      } catch {
        waitMs = WAITS_MS[Math.min(failures, WAITS_MS.length - 1)];
        failures += 1;
        // Whose login ended here must log in again, and not slip in elsewhere.
        if (status !== "stranger" || isElsewhere()) turn();
      }
      if (status !== "full" && status !== "stranger") setStatus("waiting");
      await pause(waitMs);
    }
  }

  // Reads until the stream ends. Returns how long to wait before the next try.
  async function connect() {
    controller = new AbortController();
    const { signal } = controller;
    const late = setTimeout(() => controller.abort(), ANSWER_MS);
    try {
      if (cursor === null) await snapshot(signal);
      else takeNodes(await json("/api/nodes", signal), { whole: true });
      const response = await ask("/api/events", { headers: { Accept: "text/event-stream", "Last-Event-ID": cursor }, signal });
      clearTimeout(late);
      if (response.status === 503) return full(response);
      if (response.status === 401 || response.status === 403) setStatus("stranger");
      if (response.status === 400) cursor = null; // the node's database was replaced: begin anew
      if (!response.ok) throw new Error(`status ${response.status}`);
      await read(response.body.getReader());
    } finally {
      clearTimeout(late);
    }
    return WAITS_MS[0];
  }

  // All places of this node are taken: another one may have some.
  function full(response) {
    setStatus("full");
    turn();
    failures += 1;
    return failures < 3 ? WAITS_MS[0] : 1000 * Number(response.headers.get("Retry-After") ?? 5);
  }

  // The cursor is from before the list was read, so nothing falls between list and stream.
  async function snapshot(signal) {
    const response = await ask("/api/incidents", { signal });
    if (response.status === 401 || response.status === 403) setStatus("stranger");
    if (!response.ok) throw new Error(`status ${response.status}`);
    const incidents = await response.json();
    takeNodes(await json("/api/nodes", signal), { whole: true });
    const missed = await changedSince(signal);
    onIncidents(incidents.filter((one) => !missed.has(one.id)), { live: false });
    onIncidents(incidents.filter((one) => missed.has(one.id)), { live: true });
    setCursor(response.headers.get("Earshot-Cursor"));
    onReady();
  }

  // Ids of what changed since the page was last open.
  async function changedSince(signal) {
    if (begunWith === null) return new Set();
    const response = await ask(`/api/incidents?since=${encodeURIComponent(begunWith)}`, { signal });
    begunWith = null;
    return new Set(response.ok ? (await response.json()).map((one) => one.id) : []);
  }

  function takeNodes(nodes, options) {
    learn(nodes.filter((node) => !node.removed));
    onNodes(nodes, options);
  }

  function setCursor(next) {
    cursor = next;
    onCursor(next);
  }

  async function json(path, signal) {
    const response = await ask(path, { signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return response.json();
  }

  async function read(reader) {
    const decoder = new TextDecoder();
    const parser = createParser({ onEvent: take, onComment: beat });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heardMs = performance.now();
      setStatus("live");
      parser(decoder.decode(value, { stream: true }));
    }
  }

  function take(event) {
    if (event.id !== null) setCursor(event.id);
    if (event.type === "incident") onIncidents([JSON.parse(event.data)], { live: true });
    else if (event.type === "nodes") takeNodes(JSON.parse(event.data));
    else if (SAID.has(event.type)) onSaid(event.type, JSON.parse(event.data));
  }

  function beat(text) {
    const { time_ns: timeNs, mesh: meshNow } = JSON.parse(text);
    setNodeTime(timeNs);
    mesh = meshNow;
  }

  function setStatus(next) {
    status = next;
    report();
  }

  function report() {
    const silentMs = performance.now() - heardMs;
    const limitMs = status === "live" || status === "connecting" ? LOST_MS : BROKEN_MS;
    onLink({ status, silentMs, isLost: silentMs > limitMs, mesh });
  }

  const pause = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    skipWait = () => {
      clearTimeout(timer);
      resolve();
    };
  });

  setInterval(() => {
    if (performance.now() - heardMs > STALE_MS && status === "live") controller?.abort();
    report();
  }, 1000);
  addEventListener("online", () => skipWait?.());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) skipWait?.();
  });

  run();
}

// Parses a text/event-stream that comes in pieces (WHATWG HTML, "Interpreting an event stream").
export function createParser({ onEvent, onComment }) {
  let rest = "";
  let id = null;
  let type = "";
  let data = [];

  function line(text) {
    if (text === "") {
      onEvent({ id, type: type || "message", data: data.join("\n") });
      id = null;
      type = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "") onComment(value);
    else if (field === "id") id = value;
    else if (field === "event") type = value;
    else if (field === "data") data.push(value);
  }

  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const text of lines) line(text);
  };
}
