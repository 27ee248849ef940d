"use strict";
// A run's details are inert until it is opened: a page of a thousand runs stays quick.
const cards = [...document.querySelectorAll(".run")];
const at = (id) => document.getElementById(id);
const search = at("search"), evals = at("eval"), backend = at("backend"), toggles = [...document.querySelectorAll(".toggle")];
const texts = new Map();

function textOf(card) {
  if (!texts.has(card)) {
    const inert = card.querySelector(":scope > template");
    texts.set(card, `${card.textContent} ${inert ? inert.content.textContent : ""}`.toLowerCase());
  }
  return texts.get(card);
}

function render(card) {
  const inert = card.querySelector(":scope > template");
  if (!inert) return;
  inert.replaceWith(inert.content);
}

function wanted() {
  return {
    text: search.value.trim().toLowerCase(),
    outcomes: toggles.filter((each) => each.getAttribute("aria-pressed") === "true").map((each) => each.dataset.outcome),
    eval: evals.value,
    backend: backend ? backend.value : "",
  };
}

function matches(card, want) {
  if (want.backend && card.dataset.backend !== want.backend) return false;
  let outcome = card.dataset.outcome;
  if (want.eval) {
    const verdict = card.dataset.verdicts.split(" ").find((each) => each.startsWith(`${want.eval}:`));
    if (!verdict) return false;
    outcome = verdict.split(":")[1];
  }
  if (want.outcomes.length && !want.outcomes.includes(outcome)) return false;
  return !want.text || textOf(card).includes(want.text);
}

function filter() {
  const want = wanted();
  let shown = 0;
  for (const card of cards) {
    card.hidden = !matches(card, want);
    shown += !card.hidden;
  }
  at("shown").textContent = shown === cards.length ? `${shown}` : `${shown} of ${cards.length}`;
  at("nothing").hidden = shown > 0;
  at("reset").hidden = !(want.text || want.outcomes.length || want.eval || want.backend);
  for (const card of cards) if (card.open && !card.hidden) reveal(card, want.text);
  highlight(want.text);
}

// In an open run, unfold what holds the text that is searched for.
function reveal(card, text) {
  if (!text) return;
  for (const part of card.querySelectorAll(".part details")) {
    if (part.textContent.toLowerCase().includes(text)) part.open = true;
  }
}

function highlight(text) {
  if (!globalThis.CSS?.highlights) return;
  CSS.highlights.delete("found");
  if (!text) return;
  const found = new Highlight();
  for (const card of cards.filter((each) => each.open && !each.hidden)) {
    const walker = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode, lower = node.data.toLowerCase();
      if (lower.length !== node.data.length) continue; // a letter whose small form is longer: places would differ
      for (let from = lower.indexOf(text); from >= 0; from = lower.indexOf(text, from + text.length)) {
        const range = new Range();
        range.setStart(node, from);
        range.setEnd(node, from + text.length);
        found.add(range);
      }
    }
  }
  CSS.highlights.set("found", found);
}

function open(card) {
  render(card);
  card.open = true;
}

// #run-refund-1-replay opens that run, #run-refund-1-replay-step2 the step in it.
function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  const card = cards.find((each) => each.id === id) ??
    cards.filter((each) => id.startsWith(`${each.id}-`)).sort((a, b) => b.id.length - a.id.length)[0];
  if (!card) return;
  if (card.hidden) reset();
  open(card);
  const part = at(id);
  const details = part?.querySelector("details");
  document.querySelectorAll(".target").forEach((each) => each.classList.remove("target"));
  if (part && part !== card) {
    part.classList.add("target"); // CSS :target does not see what is rendered later
    if (details) details.open = true;
  }
  part?.scrollIntoView({ block: "start" });
}

function reset() {
  search.value = evals.value = "";
  if (backend) backend.value = "";
  toggles.forEach((each) => each.setAttribute("aria-pressed", "false"));
  filter();
}

function move(by) {
  const shown = cards.filter((each) => !each.hidden);
  const here = shown.indexOf(document.activeElement?.closest(".run"));
  const next = shown[Math.max(0, Math.min(shown.length - 1, here + by))];
  next?.querySelector("summary").focus();
  next?.scrollIntoView({ block: "nearest" });
}

function unfold(card) {
  const parts = [...card.querySelectorAll(".part details")];
  const all = parts.every((each) => each.open);
  parts.forEach((each) => { each.open = !all; });
  const button = card.querySelector("[data-unfold]");
  if (button) button.textContent = all ? "unfold all" : "fold all";
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
  } catch { // no clipboard without a secure context: select the text instead
    getSelection().selectAllChildren(button.previousElementSibling);
  }
}

const keys = {
  "/": () => search.focus(),
  j: () => move(1),
  k: () => move(-1),
  u: () => { const card = document.activeElement?.closest(".run"); if (card) { open(card); unfold(card); } },
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { reset(); search.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
document.addEventListener("toggle", (event) => {
  if (!event.target.matches?.(".run") || !event.target.open) return;
  render(event.target);
  reveal(event.target, wanted().text);
  highlight(wanted().text);
}, true);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".toggle")) {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    filter();
  } else if (button.dataset.eval !== undefined) {
    evals.value = button.dataset.eval;
    filter();
    at("runs-heading").scrollIntoView();
  } else if (button.dataset.copy) copy(button);
  else if (button.matches("[data-unfold]")) unfold(button.closest(".run"));
});
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("reset", (event) => { event.preventDefault(); reset(); });
search.addEventListener("input", filter);
for (const select of [evals, backend]) select?.addEventListener("change", filter);
window.addEventListener("hashchange", follow);
filter();
follow();
