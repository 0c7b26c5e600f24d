// Buttons, scale bar, north arrow, legend and notes around the map.

import { legend } from "../details.js";
import { h, s, write } from "../dom.js";
import { t } from "../texts.js";

const PAN_PX = 120;
const STEP = 1.6;
const BAR_PX = 110;

const ICONS = {
  in: "M8 3v10M3 8h10",
  out: "M3 8h10",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
  up: "M4 10l4-4 4 4",
  down: "M4 6l4 4 4-4",
  left: "M10 4L6 8l4 4",
  right: "M6 4l4 4-4 4",
};

export function createFurniture(map, view, showAll) {
  const scaleBar = h("div", { class: "map-scale" });
  const note = h("p", { class: "map-note", hidden: true });
  const key = legend("map-legend");

  map.append(
    h("div", { class: "map-controls" },
      h("div", { class: "map-pad" },
        control("in", "zoom-in", () => view.zoom(STEP)),
        control("out", "zoom-out", () => view.zoom(1 / STEP)),
        control("up", "up", () => view.pan(0, PAN_PX)),
        control("left", "left", () => view.pan(PAN_PX, 0)),
        control("fit", "fit", showAll),
        control("right", "right", () => view.pan(-PAN_PX, 0)),
        control("down", "down", () => view.pan(0, -PAN_PX)))),
    h("div", { class: "map-foot", "aria-hidden": "true" },
      h("div", { class: "map-north" }, s("svg", { viewBox: "-7 -9 14 18" }, s("path", { d: "M0-9 6 8 0 4-6 8z" })), t("ui.map.north")),
      scaleBar),
    note,
    key);

  function rescale() {
    const metres = niceLength(BAR_PX / view.scale);
    scaleBar.style.width = `${(metres * view.scale).toFixed(0)}px`;
    write(scaleBar, metres >= 1000 ? t("unit.km", { value: metres / 1000 }) : t("unit.m", { value: metres }));
  }

  function say(text) {
    write(note, text);
    note.hidden = !text;
    key.hidden = Boolean(text);
  }

  return { rescale, say };
}

function control(icon, text, onclick) {
  const label = t(`ui.map.${text}`);
  return h("button", { type: "button", class: `map-control to-${icon}`, "aria-label": label, title: label, onclick },
    s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: ICONS[icon] })));
}

// The longest of 1, 2 and 5 times a power of ten that fits.
function niceLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * [5, 2, 1].find((n) => n * power <= most);
}
