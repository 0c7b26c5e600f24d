// What the car hears: a two-tone call for an alert, a falling one for its end, a low one for a lost link; and a voice.

const CALL = [[880, 0.22], [660, 0.22], [880, 0.22], [660, 0.22], [880, 0.22], [660, 0.3]];
const ENDED = [[520, 0.25], [390, 0.45]];
const NO_LINK = [[220, 0.35], [0, 0.12], [220, 0.35], [0, 0.12], [220, 0.5]];
const VOLUME = 0.9;
const EDGE_S = 0.012; // without it each tone begins with a click

export function createSound(language) {
  let context = null;

  const isArmed = () => context?.state === "running";

  // Browsers let a page make sound only after a touch; this must be called from one.
  async function arm() {
    context ??= new AudioContext();
    await context.resume();
    return isArmed();
  }

  function play(tones, shape) {
    if (!isArmed()) return false;
    let at = context.currentTime + 0.02;
    for (const [hz, seconds] of tones) {
      if (hz) tone(hz, at, seconds, shape);
      at += seconds;
    }
    return true;
  }

  function tone(hz, at, seconds, shape) {
    const source = new OscillatorNode(context, { type: shape, frequency: hz });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(VOLUME, at + EDGE_S);
    gain.gain.setValueAtTime(VOLUME, at + seconds - EDGE_S);
    gain.gain.linearRampToValueAtTime(0, at + seconds);
    source.connect(gain).connect(context.destination);
    source.start(at);
    source.stop(at + seconds);
  }

  // Only a voice of this device: another would send what was said to somebody's computers.
  function say(text) {
    if (!isArmed() || !("speechSynthesis" in window)) return;
    const voices = speechSynthesis.getVoices().filter((voice) => voice.localService);
    const voice = voices.find((one) => one.lang.startsWith(language)) ?? voices[0];
    if (!voice) return;
    const words = new SpeechSynthesisUtterance(text);
    words.voice = voice;
    words.lang = voice.lang;
    speechSynthesis.cancel();
    speechSynthesis.speak(words);
  }

  return {
    arm,
    isArmed,
    say,
    call: () => play(CALL, "square"),
    ended: () => play(ENDED, "sine"),
    noLink: () => play(NO_LINK, "triangle"),
  };
}
