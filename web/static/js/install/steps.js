// The steps of an installation: what each measures, its limit, and whether it is met. No page here, only judgement.

const SPREAD_DB = 3;
const TAP_DB = 12;
const PLACE_M = 2;
const CLOCK_MS = 0.1;
const PEERS = 3;
const ALERT_S = 5;
const MEAN_N = 10; // of levels, one a second
const TAP_DBFS = -40; // a tap on a microphone is far above any ambience

// What was measured since the page was opened.
export function createMeasures() {
  const rms = [];
  let clipped = [];
  let clippedAtNs = null;
  const taps = [];
  let isTapping = false;
  let alertS = null;
  let isHeard = null;

  function take(levels, timeNs) {
    rms.push(levels.map((level) => level.rms_dbfs));
    if (rms.length > MEAN_N) rms.shift();
    clipped = levels.map((level, i) => (clipped[i] ?? 0) + level.n_clipped_samples);
    if (levels.some((level) => level.n_clipped_samples)) clippedAtNs = timeNs;
    if (isTapping) tap(levels.map((level) => level.peak_dbfs));
  }

  // A tap is heard on one channel alone; one that is heard on several was none, or the channels are joined.
  function tap(peaks) {
    const order = peaks.map((_, i) => i).sort((a, b) => peaks[b] - peaks[a]);
    const [first, second] = order;
    if (peaks[first] < TAP_DBFS || (second !== undefined && peaks[first] - peaks[second] < TAP_DB)) return;
    if (taps.at(-1) === first) return; // the same tap rings on
    taps.push(first);
    if (taps.length >= peaks.length) isTapping = false;
  }

  return {
    take,
    startTapping() {
      taps.length = 0;
      isTapping = true;
    },
    resetClipped() {
      clipped = clipped.map(() => 0);
      clippedAtNs = null;
    },
    setAlert(seconds) { alertS = seconds; },
    setHeard(yes) { isHeard = yes; },
    get nChannels() { return clipped.length; },
    get means() { return rms.length ? rms[0].map((_, i) => rms.reduce((sum, row) => sum + (row[i] ?? -400), 0) / rms.length) : []; },
    get nSeconds() { return rms.length; },
    get clipped() { return clipped; },
    get clippedAtNs() { return clippedAtNs; },
    get taps() { return taps; },
    get isTapping() { return isTapping; },
    get alertS() { return alertS; },
    get isHeard() { return isHeard; },
  };
}

// Every step with its state: pass, fail, or open (not measured yet), its number and its limit.
export function judge(node, nodes, measures, floorLimitDbfs) {
  const check = (name) => (node?.health ?? []).find((one) => one.name === name);
  const { means } = measures;
  const spread = means.length ? Math.max(...means) - Math.min(...means) : null;
  const floor = means.length ? Math.max(...means) : null;
  const isEnough = measures.nSeconds >= MEAN_N;
  const alive = nodes.filter((one) => !one.self && one.alive).length;
  const clock = check("clock");
  const clipped = measures.clipped.reduce((sum, n) => sum + n, 0);
  return [
    reported("power", check("power"), "h"),
    reported("board", check("temperature"), "°C"),
    reported("array", check("microphones") ?? check("ears"), ""),
    step("levels", spread === null || !isEnough ? "open" : verdict(spread <= SPREAD_DB), spread, "dB", SPREAD_DB),
    step("clipping", measures.nChannels && isEnough ? verdict(clipped === 0) : "open", measures.nChannels ? clipped : null, "samples", 0),
    step("floor", floor === null || !isEnough ? "open" : verdict(floor <= floorLimitDbfs), floor, "dBFS", floorLimitDbfs),
    step("order", orderState(measures), measures.taps.length, "channels", measures.nChannels || null),
    step("place", numberState(check("place"), PLACE_M), check("place")?.number ?? null, "m", PLACE_M),
    step("clock", numberState(clock, CLOCK_MS), clock?.number ?? null, "ms", CLOCK_MS, clock?.words),
    step("peers", verdict(alive >= PEERS), alive, "nodes", PEERS),
    step("alert", measures.alertS === null ? "open" : verdict(measures.alertS <= ALERT_S && measures.isHeard !== false && measures.isHeard !== null), measures.alertS, "s", ALERT_S),
  ];
}

const verdict = (isMet) => (isMet ? "pass" : "fail");

const step = (name, state, number, unit, limit, words = null) => ({ name, state, number, unit, limit, words });

// What the node judges itself.
function reported(name, check, unit) {
  const state = { ok: "pass", failed: "fail", degraded: "fail" }[check?.state] ?? "open";
  return step(name, state, check?.number ?? null, check?.unit ?? unit, null, check?.words ?? null);
}

function numberState(check, limit) {
  if (!check || check.state === "unknown" || check.number === null) return "open";
  return verdict(check.state === "ok" && check.number <= limit);
}

function orderState({ taps, nChannels, isTapping }) {
  if (!nChannels || taps.length < nChannels) return "open";
  return isTapping ? "open" : verdict(taps.every((channel, i) => channel === i));
}
