// The sound of an incident, node by node: waveform, spectrogram, and a button to hear it. The node writes down who did.

import { ask, askNode } from "../api.js";
import { h, put, write } from "../dom.js";
import { t } from "../texts.js";

const WIDTH = 640;
const WAVE_PX = 72;
const SPECTRUM_PX = 128;
const WINDOW = 256;
const RANGE_DB = 70;

export function createClips(root, state) {
  async function read(path) {
    const response = await ask(`${path}/clips`);
    const list = response.ok ? await response.json() : [];
    put(root, list.length ? list.map(clip) : h("p", { class: "faint" }, t("incident.clips.none")));
  }

  function clip(one) {
    const wave = h("canvas", { width: WIDTH, height: WAVE_PX, class: "wave", role: "img", "aria-label": t("incident.wave") });
    const spectrum = h("canvas", { width: WIDTH, height: SPECTRUM_PX, class: "wave", role: "img", "aria-label": t("incident.spectrum") });
    const result = h("span", { class: "faint", role: "status" });
    let buffer = null;
    async function play() {
      const context = new AudioContext();
      try {
        buffer ??= await fetchClip(one, context);
        draw(wave, spectrum, buffer.getChannelData(0));
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(context.destination);
        source.onended = () => context.close();
        source.start();
        write(result, t("incident.clip.logged"));
      } catch (error) {
        context.close();
        write(result, t("incident.clip.failed", { error: error.message }));
      }
    }
    const seconds = (one.n_samples / one.rate_hz).toFixed(1);
    return h("div", { class: "clip" },
      h("p", {}, h("strong", {}, one.node), ` ${t("incident.clip", { seconds, channels: one.n_channels })} `, h("button", { type: "button", class: "button", onclick: play }, t("incident.clip.play")), " ", result),
      wave, spectrum);
  }

  // A clip lies on the node that heard it, and nowhere else.
  async function fetchClip(one, context) {
    const node = state.node(one.node);
    const response = await askNode(node, `/api/clips/${encodeURIComponent(one.pick)}`);
    if (!response.ok) throw new Error((await response.json()).error);
    return context.decodeAudioData(await response.arrayBuffer());
  }

  return { read };
}

function draw(wave, spectrum, samples) {
  drawWave(wave, samples);
  drawSpectrum(spectrum, samples);
}

function drawWave(canvas, samples) {
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = style.color;
  const step = samples.length / canvas.width;
  for (let x = 0; x < canvas.width; x += 1) {
    let [low, high] = [0, 0];
    for (let i = Math.floor(x * step); i < (x + 1) * step && i < samples.length; i += 1) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    const middle = canvas.height / 2;
    pen.fillRect(x, middle - (high / peak) * middle, 1, Math.max(1, ((high - low) / peak) * middle));
  }
}

function drawSpectrum(canvas, samples) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  const columns = Array.from({ length: canvas.width }, (_, x) => powers(samples, Math.floor((x / canvas.width) * Math.max(0, samples.length - WINDOW))));
  const loudest = Math.max(...columns.map((column) => Math.max(...column)));
  columns.forEach((column, x) => {
    column.forEach((db, k) => {
      const level = Math.max(0, 1 - (loudest - db) / RANGE_DB);
      const at = 4 * ((canvas.height - 1 - k) * canvas.width + x);
      image.data.set([255 * Math.min(1, 1.6 * level), 255 * level ** 2, 255 * (0.25 + 0.3 * level) * (1 - level), 255], at);
    });
  });
  pen.putImageData(image, 0, 0);
}

// Power in dB of one Hann window, half its length in bins: radix-2, decimation in time (Cooley and Tukey 1965).
function powers(samples, start) {
  const re = new Float64Array(WINDOW);
  const im = new Float64Array(WINDOW);
  const bits = Math.log2(WINDOW);
  for (let i = 0; i < WINDOW; i += 1) {
    let j = 0;
    for (let b = 0; b < bits; b += 1) j |= ((i >> b) & 1) << (bits - 1 - b);
    re[j] = (samples[start + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  }
  for (let size = 2; size <= WINDOW; size *= 2) {
    for (let from = 0; from < WINDOW; from += size) {
      for (let k = 0; k < size / 2; k += 1) {
        const angle = (-2 * Math.PI * k) / size;
        const [a, b] = [from + k, from + k + size / 2];
        const [x, y] = [re[b] * Math.cos(angle) - im[b] * Math.sin(angle), re[b] * Math.sin(angle) + im[b] * Math.cos(angle)];
        [re[b], im[b], re[a], im[a]] = [re[a] - x, im[a] - y, re[a] + x, im[a] + y];
      }
    }
  }
  return Array.from({ length: SPECTRUM_PX }, (_, k) => 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-12));
}
