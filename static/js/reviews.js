// The meeting by keyboard: 1 to 7 choose a decision, left and right walk the agenda, p presents. Links and radios do the same.
(() => {
  // A page that asks by itself is nobody at work: unseen, or without a key or a click for a quarter of an hour, it stops
  // asking, so that the session can end.
  const ASKS_FOR_MS = 15 * 60 * 1000;
  let touched = Date.now();
  for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, () => { touched = Date.now(); });
  document.addEventListener("htmx:confirm", (event) => {
    if (event.detail.elt.id === "news" && (document.hidden || Date.now() - touched > ASKS_FOR_MS)) event.preventDefault();
  });

  const typing = (element) => element?.matches?.("input:not([type=radio]), textarea, select, [contenteditable]");
  const follow = (selector) => { const link = document.querySelector(selector); if (link) { link.click(); return true; } return false; };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const choices = document.querySelectorAll('#decide input[name="what"]');
    const at = Number(event.key) - 1;
    if (Number.isInteger(at) && choices[at]) {
      choices[at].checked = true;
      choices[at].focus();
      choices[at].dispatchEvent(new Event("change", { bubbles: true }));
      event.preventDefault();
    } else if (event.key === "ArrowLeft" && !event.target.matches?.("[type=radio]")) {
      if (follow('a[rel="prev"]')) event.preventDefault();
    } else if (event.key === "ArrowRight" && !event.target.matches?.("[type=radio]")) {
      if (follow('a[rel="next"]')) event.preventDefault();
    } else if (event.key === "p") {
      follow("[data-tg-present]");
    }
  });
})();
