// The button that changes the colours: as the system has them, day, night. theme.js applies the choice at the next load.

import { byId, put, s } from "./dom.js";
import { t } from "./texts.js";

const THEME_ICONS = {
  auto: ["M8 1.5a6.5 6.5 0 0 0 0 13z", "M8 1.5a6.5 6.5 0 0 1 0 13"],
  day: ["M8 4.8a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4z", "M8 .8v1.6M8 13.6v1.6M.8 8h1.6M13.6 8h1.6M2.9 2.9 4 4M12 12l1.1 1.1M2.9 13.1 4 12M12 4l1.1-1.1"],
  night: ["M6.2 1.6a6.6 6.6 0 1 0 8.2 8.2A5.6 5.6 0 0 1 6.2 1.6z", ""],
};

let choice = "auto";

// What the person chose, whatever colours the system or the sun makes of it.
export const themeChoice = () => choice;

export function setUpThemes() {
  const order = ["auto", "day", "night"];
  const button = byId("theme");
  const root = document.documentElement;
  choice = kept();
  const show = () => {
    const word = t(`ui.theme.${choice}`);
    put(button, icon(choice), word);
    button.setAttribute("aria-label", t("ui.theme.label", { theme: word }));
  };
  button.addEventListener("click", () => {
    choice = order[(order.indexOf(choice) + 1) % order.length];
    if (choice === "auto") delete root.dataset.theme;
    else root.dataset.theme = choice;
    try {
      localStorage.setItem("earshot-theme", choice);
    } catch {
      // It holds until the page is closed.
    }
    show();
  });
  show();
}

function kept() {
  try {
    const stored = localStorage.getItem("earshot-theme");
    return stored === "day" || stored === "night" ? stored : "auto";
  } catch {
    return "auto";
  }
}

function icon(theme) {
  const [solid, line] = THEME_ICONS[theme];
  return s("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { class: "icon-solid", d: solid }), s("path", { d: line }));
}
