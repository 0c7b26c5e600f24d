// Which panel shows where there is no room for all.

export function createTabs() {
  const board = document.querySelector(".board");
  const tabs = [...document.querySelectorAll(".tab")];
  const isPhone = matchMedia("(max-width: 759px)");

  function show(name) {
    board.dataset.tab = name;
    // Without its own tab the list stands beside the others, so the incident has its place.
    const current = name === "incidents" && !isPhone.matches ? "incident" : name;
    for (const tab of tabs) tab.setAttribute("aria-current", String(tab.dataset.tab === current));
  }

  for (const tab of tabs) tab.addEventListener("click", () => show(tab.dataset.tab));
  isPhone.addEventListener("change", () => show(board.dataset.tab));
  show(board.dataset.tab);
  return show;
}
