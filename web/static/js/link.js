// Says whether the node still talks to this page: a word in the heading, and a full-width strip when it does not.

import { ageText, utcClock } from "./clock.js";
import { byId, h, put, write } from "./dom.js";
import { t } from "./texts.js";

export function createLink() {
  const pill = byId("link");
  const word = byId("link-text");
  const strip = byId("no-link");
  const lostFor = h("strong");
  const why = h("span");
  put(strip, lostFor, why);
  setInterval(() => write(byId("clock"), utcClock()), 500);

  return function show({ status, silentMs, isLost, mesh }) {
    const shown = isLost && status !== "full" ? "lost" : status;
    pill.dataset.link = shown;
    write(word, t(`ui.link.${shown}`));
    if (isLost) {
      write(lostFor, t("ui.no-link", { age: ageText(silentMs) }));
      write(why, t(status === "full" ? "ui.no-link.full" : "ui.no-link.why"));
    }
    strip.hidden = !isLost;
    byId("mesh-away").hidden = isLost || mesh !== "away";
  };
}
