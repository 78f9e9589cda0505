// Runs before the first paint: somebody who follows the system gets Tabler's own dark rules too.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    if (root.dataset.tgTheme !== "system") return;
    root.dataset.bsTheme = dark.matches ? "dark" : "light";
    document.dispatchEvent(new Event("tg:theme"));
  };
  dark.addEventListener("change", follow);
  follow();
  window.tgFollowTheme = follow;
})();
