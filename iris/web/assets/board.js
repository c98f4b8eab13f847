// Cards are moved: dragged to where they may go, or by Shift and a key.

import { all, ask, body, drawn, element, one, say } from "./shared.js";

const board = () => one("[data-by]");
const columnWith = card => card.closest("[data-column]");
export const columnOf = value => one(`[data-column="${CSS.escape(value ?? "")}"]`);
export const workflow = () => JSON.parse(body.dataset.workflow || "{}");

// Whether a card may go to a column. What the workflow allows stands at the card; PostgreSQL has the last word.
function mayGo(card, column) {
  if (!column || !card.draggable || column === columnWith(card)) return false;
  return board().dataset.by !== "status" || JSON.parse(card.dataset.next).includes(column.dataset.column);
}

// Put a card into a column, where the list's order has it: newest first.
export function put(card, column) {
  const list = one(".cards", column);
  if (card.parentNode === list) return;
  const focused = card.contains(document.activeElement) && document.activeElement;
  const next = [...list.children].find(each => Number(each.dataset.ticket) < Number(card.dataset.ticket));
  list.insertBefore(card, next || null);
  if (focused) focused.focus({ preventScroll: true });
}

// Let the card's own form, for who drags nothing, say what is now.
export function fit(card) {
  const ways = all("[data-column]").filter(column => mayGo(card, column)).map(({ dataset }) => dataset.column);
  one("select", card)?.replaceChildren(...ways.map(value => element("option", { value }, value || "nobody")));
}

// Take back what was done to a ticket at the time that its row says.
async function undo(ticket, at) {
  const events = await ask("GET", `tickets/${ticket}/history?columns=change,at`);
  const event = events?.find(each => each.at === at);
  if (event && (await ask("PUT", "undo", { change: event.change }))) say(`#${ticket} is what it was.`);
}

// Move a card at once, and back if it is refused.
async function move(card, column) {
  const from = columnWith(card);
  const name = board().dataset.by;
  const value = column.dataset.column;
  const { ticket, version } = card.dataset;
  put(card, column);
  card.scrollIntoView({ block: "nearest", inline: "nearest" });
  drawn();
  const told = await ask("PUT", `tickets/${ticket}`, { [name]: value || null, version: Number(version) });
  if (told) {
    const next = JSON.stringify(workflow()[told.status]?.next || []);
    Object.assign(card.dataset, { version: told.version, updated: told.updated, next });
    fit(card);
    say(`#${ticket}: ${name} is ${value || "nobody"} now.`, false, () => undo(ticket, told.updated));
  } else {
    put(card, from);
    drawn();
  }
}

// Move a card to the next column, left or right, that takes it.
export function moveBy(card, step) {
  const columns = all("[data-column]");
  const here = columns.indexOf(columnWith(card));
  const way = step > 0 ? columns.slice(here + 1) : columns.slice(0, here).reverse();
  const column = way.find(each => mayGo(card, each));
  if (column) move(card, column);
  else say(`#${card.dataset.ticket} may not go further ${step > 0 ? "right" : "left"}.`, true);
}

let dragged = null;

// Show where the card that is dragged may go, and over which column it is.
function show(over = null) {
  board()?.classList.toggle("dragging", Boolean(dragged));
  for (const column of all("[data-column]")) {
    column.classList.toggle("takes", Boolean(dragged) && mayGo(dragged, column));
    column.classList.toggle("over", column === over);
  }
}

const on = (name, act) => document.addEventListener(name, act);
on("dragstart", event => {
  dragged = event.target.closest?.("[data-by] [draggable]");
  if (!dragged) return;
  event.dataTransfer.setData("text/plain", `#${dragged.dataset.ticket}`);
  // Later, for what one sees under the pointer is drawn of the card as it is now.
  setTimeout(() => show());
});
for (const name of ["dragover", "drop"]) {
  on(name, event => {
    const column = dragged && event.target.closest?.("[data-column]");
    const takes = column && mayGo(dragged, column);
    if (takes) event.preventDefault();
    if (name === "dragover") show(takes ? column : null);
    else if (takes) move(dragged, column);
  });
}
on("submit", event => {
  const card = event.target.closest("[data-by] [data-ticket]");
  if (!card) return;
  event.preventDefault();
  move(card, columnOf(one("select", card).value));
});
on("dragend", () => {
  dragged = null;
  show();
});
on("drawn", () => {
  for (const card of all("[data-by] [data-ticket]")) card.draggable = Boolean(one("form", card));
  for (const column of all("[data-column]")) one(".count", column).textContent = all("[data-ticket]", column).length;
});
drawn();
