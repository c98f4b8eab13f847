// Keys: what has data-key="n" in the page is what n does, and these go from ticket to ticket.

import { all, body, button, element, one, read, say } from "./shared.js";
import { moveBy } from "./board.js";

const TYPED = "textarea, select, [contenteditable], input:not([type=checkbox], [type=radio], [type=range])";
const isOff = () => localStorage.getItem("keys") === "off";
const current = () => document.activeElement.closest("main [data-ticket]");
const inside = place => all("[data-ticket]", place);

function stand(card) {
  if (!card) return;
  one("a", card).focus();
  card.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function along(step) {
  const card = current();
  const cards = inside(card?.closest("[data-column]") || one("main"));
  stand(card ? cards[cards.indexOf(card) + step] : cards[0]);
}

function across(step) {
  const card = current();
  const columns = all("[data-column]").filter(each => inside(each)[0]);
  const here = columns.findIndex(each => each.contains(card));
  if (here < 0) return along(0);
  const there = columns[here + step] ? inside(columns[here + step]) : [];
  return stand(there[inside(columns[here]).indexOf(card)] || there.at(-1));
}

const move = step => current()?.closest("[data-by]") && moveBy(current(), step);
const WAYS = {
  j: () => along(1),
  k: () => along(-1),
  h: () => across(-1),
  l: () => across(1),
  H: () => move(-1),
  L: () => move(1),
  c: () => (current() ? location.assign(`${one("a", current()).href}#new-body`) : one("#new-body")?.focus()),
};

// Show the page of help over this one; from there keys are turned off, too.
async function help(link) {
  const shown = await read(link.href).catch(() => location.assign(link.href));
  if (!shown) return;
  const close = button("Close", () => dialog.close());
  const turn = button(`Turn keys ${isOff() ? "on" : "off"}`, () => {
    localStorage.setItem("keys", isOff() ? "on" : "off");
    dialog.close();
    say(`Keys are ${isOff() ? "off; help turns them on" : "on"}.`);
  });
  const dialog = element("dialog", { "aria-label": "Help" }, close, " ", turn, document.importNode(one("main", shown), true));
  dialog.onclose = () => dialog.remove();
  body.append(dialog);
  dialog.showModal();
}

document.addEventListener("click", event => {
  const link = event.target.closest?.('a[data-key="?"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  help(link);
});

document.addEventListener("keydown", event => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || target.closest("dialog")) return;
  if (target.matches(TYPED)) return key === "Escape" && target.blur();
  const marked = one(`[data-key="${CSS.escape(key)}"]`);
  if ((isOff() && key !== "?") || !(marked || WAYS[key])) return;
  event.preventDefault();
  if (!marked) WAYS[key]();
  else if (marked.matches(TYPED)) marked.focus();
  else marked.click();
});
