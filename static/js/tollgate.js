// Small help for pages that work without it: palette, panel, menus, theme, toasts, and htmx's manners.
(() => {
  const TOAST_MS = 8000;
  const byId = (id) => document.getElementById(id);
  const csrfToken = () => document.querySelector('meta[name="csrf-token"]').content;
  const say = (words) => { const live = byId("announcer"); if (live) live.textContent = words; };
  const isMac = navigator.platform.startsWith("Mac");

  // --- htmx ---------------------------------------------------------------------------------------------------
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = csrfToken();
  });
  const cardOf = (element) => element?.closest?.(".tg-card") ?? element;
  document.addEventListener("htmx:beforeRequest", (event) => cardOf(event.detail.target)?.classList.add("tg-loading"));
  document.addEventListener("htmx:afterRequest", (event) => cardOf(event.detail.target)?.classList.remove("tg-loading"));
  document.addEventListener("htmx:sendError", (event) => failed(event.detail, "Tollgate could not be reached. Your input is still here."));
  document.addEventListener("htmx:timeout", (event) => failed(event.detail, "Tollgate took too long to answer."));
  document.addEventListener("htmx:afterSettle", (event) => prepare(event.detail.elt));

  // A failed part says so in its own card; the rest of the page stays.
  function failed(detail, words) {
    const card = cardOf(detail.target);
    card?.querySelector(":scope > .tg-error")?.remove();
    const note = document.createElement("div");
    note.className = "tg-error";
    note.setAttribute("role", "alert");
    const again = Object.assign(document.createElement("button"), { type: "button", className: "tg-btn tg-btn--small", textContent: "Try again" });
    again.addEventListener("click", () => { note.remove(); detail.elt.dispatchEvent(new Event(detail.requestConfig?.triggeringEvent?.type ?? "click", { bubbles: true })); });
    note.append(words, " ", again);
    card?.prepend(note);
  }

  // --- Panel: Escape closes, focus goes back to the figure -----------------------------------------------------
  let opener = null;
  function closePanel() {
    const panel = byId("panel");
    if (!panel || !panel.firstElementChild) return false;
    panel.replaceChildren();
    document.querySelector(".tg-is-explained")?.classList.remove("tg-is-explained");
    opener?.focus();
    opener = null;
    return true;
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.id === "panel" && !byId("panel").contains(event.detail.elt)) opener = event.detail.elt;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "panel") return;
    document.querySelector(".tg-is-explained")?.classList.remove("tg-is-explained");
    opener?.classList.add("tg-is-explained");
    const heading = byId("panel").querySelector("h2");
    if (heading) say(`Opened: ${heading.textContent.trim()}`);
    byId("panel").focus({ preventScroll: true });
    window.dispatchEvent(new Event("resize"));
  });

  // --- Choosing a row whose form opens beside the table ---------------------------------------------------------
  document.addEventListener("htmx:afterSwap", (event) => {
    const link = event.detail.requestConfig?.elt;
    if (!link?.matches?.("[data-tg-choose]")) return;
    const old = link.closest("table").querySelector("tr.is-chosen");
    old?.classList.remove("is-chosen");
    old?.querySelector("[data-tg-choose]")?.removeAttribute("aria-current");
    link.closest("tr").classList.add("is-chosen");
    link.setAttribute("aria-current", "true");
  });

  // --- Palette -------------------------------------------------------------------------------------------------
  function openPalette() {
    const dialog = byId("palette");
    if (!dialog || dialog.open) return;
    dialog.showModal();
    byId("palette-q").select();
    htmx.trigger("#palette-q", "search");
  }
  const results = () => [...document.querySelectorAll("#palette-results a")];
  function step(by) {
    const links = results();
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at + by;
    if (next < 0) byId("palette-q").focus(); else links[Math.min(next, links.length - 1)].focus();
  }

  // --- Keys and clicks -------------------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
    } else if (byId("palette")?.open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && event.target.id === "palette-q") {
      event.preventDefault();
      results()[0]?.click();
    } else if (event.key === "Escape" && !byId("palette")?.open) {
      if (!closeMenus()) closePanel();
    }
  });
  function closeMenus(except = null) {
    const open = [...document.querySelectorAll("details.tg-menu[open]")].filter((menu) => menu !== except);
    const holder = open.find((menu) => menu.contains(document.activeElement));
    open.forEach((menu) => { menu.open = false; });
    if (!except) holder?.querySelector("summary")?.focus();
    return open.length > 0;
  }
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details.tg-menu[open]")) event.target.querySelector("input[type=search]")?.focus();
  }, true);
  document.addEventListener("click", (event) => {
    const target = event.target;
    closeMenus(target.closest?.("details.tg-menu"));
    if (target === byId("palette")) byId("palette").close();
    if (target.closest("[data-tg-palette]")) { event.preventDefault(); openPalette(); }
    if (target.closest("[data-tg-close-panel]")) { if (closePanel()) event.preventDefault(); }
    if (target.closest("[data-tg-copy]")) copy(target.closest("[data-tg-copy]"));
    const table = target.closest("[data-tg-table]");
    if (table) toggleTable(table);
    if (target.closest("[data-tg-dismiss]")) target.closest(".tg-toast, .tg-banner")?.remove();
  });
  function toggleTable(button) {
    const table = byId(button.dataset.tgTable);
    table.open = !table.open;
    button.setAttribute("aria-expanded", String(table.open));
    if (table.open) table.scrollIntoView({ block: "nearest" });
  }
  async function copy(button) {
    await navigator.clipboard.writeText(new URL(button.dataset.tgCopy || location.href, location.href).href);
    toast("The address is copied.");
  }

  // --- Theme: the cookie for the server, the attribute for now ---------------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-tg-theme-form]");
    if (!form || !event.submitter) return;
    event.preventDefault();
    const theme = event.submitter.value;
    const root = document.documentElement;
    root.dataset.tgTheme = theme;
    if (theme === "system") window.tgFollowTheme(); else root.dataset.bsTheme = theme;
    document.dispatchEvent(new Event("tg:theme"));
    document.querySelectorAll("[data-tg-theme-form] button").forEach((button) => button.setAttribute("aria-pressed", String(button.value === theme)));
    const body = new URLSearchParams(new FormData(form, event.submitter));
    fetch(form.action, { method: "POST", body, headers: { "X-CSRFToken": csrfToken() }, redirect: "manual" });
    closeMenus();
  });

  // --- Toasts: what happened, for eight seconds; errors never come here -------------------------------------------
  function toast(words, undo = null) {
    const box = document.createElement("div");
    box.className = "tg-toast";
    const text = Object.assign(document.createElement("span"), { className: "tg-toast__text", textContent: words });
    box.append(text);
    if (undo) box.append(undo);
    byId("toasts")?.append(box);
    let timer = setTimeout(() => box.remove(), TOAST_MS);
    // Whoever reads or is about to undo must not lose it.
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("focusin", () => clearTimeout(timer));
    box.addEventListener("pointerleave", () => { timer = setTimeout(() => box.remove(), TOAST_MS); });
  }
  document.addEventListener("tg:toast", (event) => toast(event.detail.value ?? event.detail.words ?? String(event.detail)));

  // --- What a fresh piece of page needs -----------------------------------------------------------------------------
  function prepare(part) {
    part.querySelectorAll?.("[data-tg-toast]").forEach((message) => {
      toast(message.textContent);
      message.closest(".tg-banner")?.remove();
    });
    part.querySelectorAll?.("[data-tg-table]").forEach((button) => { button.hidden = false; });
    part.querySelectorAll?.("[data-tg-drop]").forEach(dropZone);
    const wanted = part.querySelector?.("[data-tg-focus]");
    wanted?.focus({ preventScroll: true });
    // A tall card whose head is in sight stays where it is; what lies elsewhere comes into sight.
    const top = wanted?.getBoundingClientRect().top;
    if (top < 0 || top > window.innerHeight - 48) wanted.scrollIntoView({ block: "start" });
    if (isMac) part.querySelectorAll?.("[data-tg-shortcut]").forEach((key) => { key.textContent = "⌘ K"; });
  }
  function dropZone(zone) {
    const input = zone.querySelector('input[type="file"]');
    if (!input || zone.dataset.tgReady) return;
    zone.dataset.tgReady = "yes";
    const over = (is) => (event) => { event.preventDefault(); zone.classList.toggle("is-over", is); };
    zone.addEventListener("dragover", over(true));
    zone.addEventListener("dragleave", over(false));
    zone.addEventListener("drop", (event) => {
      over(false)(event);
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
  prepare(document);
})();
