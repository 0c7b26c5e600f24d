// What part of the plane is visible, and how mouse, fingers and keys change it.

const MIN_SCALE = 0.02; // pixels per metre
const MAX_SCALE = 12;
const PAN_PX = 80;
const STEP = 1.5;
const CLICK_PX = 5;
const DOUBLE_MS = 350;

export function createView(element, { onMove, onTap, onResize }) {
  const view = {
    x: 0,
    y: 0,
    scale: 0.6,
    width: 1,
    height: 1,
    isTouched: false, // whether a person has moved it since it was last framed
    toScreen: ([x, y]) => [view.width / 2 + (x - view.x) * view.scale, view.height / 2 - (y - view.y) * view.scale],
    pan,
    zoom,
    fit,
    centre,
    shows,
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let animation = 0;

  new ResizeObserver(() => {
    view.width = Math.max(1, element.clientWidth);
    view.height = Math.max(1, element.clientHeight);
    onMove();
    if (!view.isTouched && element.clientWidth) onResize();
  }).observe(element);

  function pan(dx, dy) {
    stop();
    view.isTouched = true;
    view.x -= dx / view.scale;
    view.y += dy / view.scale;
    onMove();
  }

  // Zooms by a factor about a point of the screen, by default its middle.
  function zoom(factor, [px, py] = [view.width / 2, view.height / 2]) {
    stop();
    view.isTouched = true;
    const next = clamp(view.scale * factor);
    view.x += (px - view.width / 2) * (1 / view.scale - 1 / next);
    view.y -= (py - view.height / 2) * (1 / view.scale - 1 / next);
    view.scale = next;
    onMove();
  }

  // Shows all of the bounds, clear of the buttons at the edges; never closer than `maxScale`.
  function fit({ west, east, south, north }, maxScale = 3) {
    const side = Math.min(56, view.width / 6);
    const top = Math.min(92, view.height / 4);
    const bottom = Math.min(64, view.height / 6);
    const scale = clamp(Math.min(
      maxScale,
      (view.width - 2 * side) / Math.max(1, east - west),
      (view.height - top - bottom) / Math.max(1, north - south),
    ));
    glide((west + east) / 2, (south + north) / 2 + (top - bottom) / 2 / scale, scale);
  }

  function centre([x, y], scale) {
    glide(x, y, clamp(scale));
  }

  function shows(points, margin) {
    return points.map(view.toScreen).every(([x, y]) => x > margin && y > margin && x < view.width - margin && y < view.height - margin);
  }

  function glide(x, y, scale) {
    stop();
    view.isTouched = false;
    if (calm.matches || view.width <= 1) {
      Object.assign(view, { x, y, scale });
      onMove();
      return;
    }
    const from = { x: view.x, y: view.y, scale: view.scale };
    const start = performance.now();
    const step = (now) => {
      const share = Math.min(1, Math.max(0, (now - start) / 320));
      const eased = 1 - (1 - share) ** 3;
      view.scale = from.scale * (scale / from.scale) ** eased;
      view.x = from.x + (x - from.x) * eased;
      view.y = from.y + (y - from.y) * eased;
      onMove();
      if (share < 1) animation = requestAnimationFrame(step);
    };
    animation = requestAnimationFrame(step);
  }

  function stop() {
    cancelAnimationFrame(animation);
  }

  listen(element, view, onTap);
  return view;
}

const clamp = (scale) => Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));

function listen(element, view, onTap) {
  const pointers = new Map();
  let travelled = 0;
  let lastTap = { ms: 0, x: 0, y: 0 };

  const local = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    element.setPointerCapture(event.pointerId);
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, local(event));
  });

  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = local(event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    pointers.set(event.pointerId, now);
    if (travelled < CLICK_PX) return;
    element.classList.add("is-moving");
    if (other) pinch(view, before, now, other);
    else view.pan(now[0] - before[0], now[1] - before[1]);
  });

  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    element.classList.remove("is-moving");
    if (event.type !== "pointerup" || travelled >= CLICK_PX || pointers.size) return;
    const [x, y] = local(event);
    const isDouble = event.timeStamp - lastTap.ms < DOUBLE_MS && Math.hypot(x - lastTap.x, y - lastTap.y) < 24;
    lastTap = { ms: event.timeStamp, x, y };
    const hit = onTap(document.elementFromPoint(event.clientX, event.clientY));
    if (!hit && isDouble) view.zoom(2, [x, y]);
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);

  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    view.zoom(Math.exp(-event.deltaY * lines * 0.0018), local(event));
  }, { passive: false });

  const keys = {
    ArrowLeft: () => view.pan(PAN_PX, 0),
    ArrowRight: () => view.pan(-PAN_PX, 0),
    ArrowUp: () => view.pan(0, PAN_PX),
    ArrowDown: () => view.pan(0, -PAN_PX),
    "+": () => view.zoom(STEP),
    "=": () => view.zoom(STEP),
    "-": () => view.zoom(1 / STEP),
  };
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function pinch(view, before, now, other) {
  const factor = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
  view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  view.zoom(factor, [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
}
