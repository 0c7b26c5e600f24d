// Runs before the first paint: night mode must never begin with a white flash.
(() => {
  let choice = null;
  try {
    choice = localStorage.getItem("earshot-theme");
  } catch {
    // A browser that keeps nothing follows the system's theme.
  }
  if (choice === "day" || choice === "night") document.documentElement.dataset.theme = choice;
})();
