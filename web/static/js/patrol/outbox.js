// Presses of the car's buttons on their way to the node: kept on this device until a node has them on disk.

import { ask } from "../api.js";

const KEPT = "earshot-outbox";
const MAX_WAITING = 50;
const AGAIN_MS = 2_000;
const ANSWER_MS = 4_000;

export function createOutbox(onChange) {
  let waiting = kept();
  let isSending = false;
  let problem = null;

  // The time of the press makes it one press, however often it is sent.
  function put(press) {
    waiting = [...waiting, press].slice(-MAX_WAITING);
    problem = null;
    keep();
    onChange();
    send();
  }

  async function send() {
    if (isSending || !waiting.length) return;
    isSending = true;
    try {
      while (waiting.length) {
        const [press] = waiting;
        const answer = await post(press);
        if (answer.status >= 500) break;
        if (!answer.ok) problem = (await answer.json()).error ?? String(answer.status);
        waiting = waiting.filter((one) => one !== press);
        keep();
        onChange();
      }
    } catch {
      // No node answers: the presses wait, and the strip says so.
    }
    isSending = false;
    onChange();
  }

  function post({ incident, unit, state, time_ns: timeNs }) {
    return ask(`/api/incidents/${encodeURIComponent(incident)}/acknowledgements`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ unit, state, time_ns: timeNs }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  }

  function keep() {
    try {
      localStorage.setItem(KEPT, JSON.stringify(waiting));
    } catch {
      // They wait until the page is closed.
    }
  }

  setInterval(send, AGAIN_MS);

  return {
    put,
    send,
    get problem() { return problem; },
    isWaiting: (incident) => waiting.some((press) => press.incident === incident),
  };
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "[]").slice(-MAX_WAITING);
  } catch {
    return [];
  }
}
