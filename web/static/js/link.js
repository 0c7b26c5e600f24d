// Says whether the node still talks to this page: a word in the heading, and a full-width strip when it does not.

import { isElsewhere, servedBy } from "./api.js";
import { ageText, utcClock } from "./clock.js";
import { byId, h, put, write } from "./dom.js";
import { t } from "./texts.js";

const WHY = { full: "ui.no-link.full", stranger: "ui.no-link.stranger" };

export function createLink() {
  const pill = byId("link");
  const word = byId("link-text");
  const strip = byId("no-link");
  const lostFor = h("strong");
  const why = h("span");
  put(strip, lostFor, why);
  setInterval(() => write(byId("clock"), utcClock()), 500);

  return function show({ status, silentMs, isLost, mesh }) {
    const shown = isLost && status !== "full" && status !== "stranger" ? "lost" : status;
    pill.dataset.link = shown;
    write(word, shown === "live" && isElsewhere() ? t("ui.link.elsewhere", { node: servedBy() }) : t(`ui.link.${shown}`));
    if (isLost) {
      write(lostFor, t("ui.no-link", { age: ageText(silentMs) }));
      write(why, t(WHY[status] ?? "ui.no-link.why"));
    }
    strip.hidden = !isLost;
    byId("mesh-away").hidden = isLost || mesh !== "away";
  };
}
