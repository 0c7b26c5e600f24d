// Runs before the first paint: night mode must never begin with a white flash.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("earshot-theme");
    // A car follows the sun: as it was when the page was last open.
    if (choice !== "day" && choice !== "night" && location.pathname === "/patrol") choice = localStorage.getItem("earshot-sun");
  } catch {
    // A browser that keeps nothing follows the system's theme.
  }
  if (choice === "day" || choice === "night") document.documentElement.dataset.theme = choice;
})();
