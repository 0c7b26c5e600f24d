// Reads the node's stream of events with fetch: unlike EventSource it shows heartbeats, statuses and Retry-After.

import { setNodeTime } from "./clock.js";

const LOST_MS = 10_000; // two heartbeats missed: the strip must be there within 12 s
const BROKEN_MS = 4_000; // a node that refuses the connection is known to be gone sooner
const STALE_MS = 11_000; // a stream that says nothing for so long is opened anew
const WAITS_MS = [500, 1_000, 2_000, 3_000];

export function createFeed({ onIncidents, onNodes, onLink, onReady }) {
  let cursor = null;
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
      }
      if (status !== "full") setStatus("waiting");
      await pause(waitMs);
    }
  }

  // Reads until the stream ends. Returns how long to wait before the next try.
  async function connect() {
    controller = new AbortController();
    const { signal } = controller;
    if (cursor === null) await snapshot(signal);
    else onNodes(await json("/api/nodes", signal), { whole: true });
    const response = await fetch("/api/events", {
      headers: { Accept: "text/event-stream", "Last-Event-ID": cursor },
      cache: "no-store",
      signal,
    });
    if (response.status === 503) {
      setStatus("full");
      return 1000 * Number(response.headers.get("Retry-After") ?? 5);
    }
    if (response.status === 400) cursor = null; // the node's database was replaced: begin anew
    if (!response.ok) throw new Error(`status ${response.status}`);
    await read(response.body.getReader());
    return WAITS_MS[0];
  }

  // The cursor is from before the list was read, so nothing falls between list and stream.
  async function snapshot(signal) {
    const response = await fetch("/api/incidents", { cache: "no-store", signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const incidents = await response.json();
    onNodes(await json("/api/nodes", signal), { whole: true });
    onIncidents(incidents, { live: false });
    cursor = response.headers.get("Earshot-Cursor");
    onReady();
  }

  async function json(url, signal) {
    const response = await fetch(url, { cache: "no-store", signal });
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
    if (event.id !== null) cursor = event.id;
    if (event.type === "incident") onIncidents([JSON.parse(event.data)], { live: true });
    else if (event.type === "nodes") onNodes(JSON.parse(event.data));
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
