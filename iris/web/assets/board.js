// Cards are moved: dragged to where they may go, or by Shift and a key.

import { all, ask, body, drawn, element, on, one, say, seen } from "./shared.js";

// What a card or a row shows in plain words; and what it takes the server to draw.
const WORDS = ["title", "status", "assignee", "priority"];
const DRAWN = ["labels", "due"];

const board = () => one("[data-by]");
const columns = () => all("[data-column]");
const columnWith = card => card.closest("[data-column]");
export const columnOf = value => one(`[data-column="${CSS.escape(value ?? "")}"]`);
const workflow = () => JSON.parse(body.dataset.workflow || "{}");

// Whether a card may go to a column; PostgreSQL has the last word.
function mayGo(card, column) {
	if (!card?.draggable || column === columnWith(card)) return false;
	return board().dataset.by !== "status" || JSON.parse(card.dataset.next).includes(column.dataset.column);
}

// Put a card into a column, or a row into the list: newest first.
export function put(card, column) {
	const list = one(".cards", column) || column;
	if (card.parentNode === list) return;
	const focused = document.activeElement;
	const next = [...list.children].find(each => each.dataset.ticket - card.dataset.ticket < 0);
	list.insertBefore(card, next);
	if (card.contains(focused)) focused.focus({ preventScroll: true });
}

function fit(card) {
	const options = columns().filter(each => mayGo(card, each)).map(({ dataset }) => element("option", { value: dataset.column }, dataset.column || "nobody"));
	one("select", card)?.replaceChildren(...options);
}

// Apply an event to a card; return whether that is all, or the server has to be asked.
export function change(shown, { changes, at }) {
	const ways = workflow();
	const by = board()?.dataset.by;
	for (const [name, [, now]] of Object.entries(changes)) {
		if (DRAWN.includes(name) || (name === by && !columnOf(now)) || (name === "status" && !ways[now])) return false;
		if (!WORDS.includes(name)) continue;
		const place = one(`.${name}`, shown);
		if (!place && name !== by) return false;
		if (place) (one("bdi", place) || place).textContent = seen(now);
		if (place && name === "priority") place.className = `priority ${now}`;
		if (name === "status") {
			shown.dataset.next = JSON.stringify(ways[now].next);
			shown.classList.toggle("closed", !ways[now].open);
		}
		if (name === by) put(shown, columnOf(now));
	}
	shown.dataset.version = +shown.dataset.version + 1;
	shown.dataset.updated = at;
	fit(shown);
	return true;
}

// Take back what was done to a ticket at a time.
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
	const told = await ask("PUT", `tickets/${ticket}`, { [name]: value || null, version: +version });
	if (told) {
		// Once more: the page may have been drawn meanwhile, as it was before.
		change(card, { changes: { [name]: [, value] }, at: told.updated });
		card.dataset.version = told.version;
		drawn();
		say(`#${ticket}: ${name} is ${value || "nobody"} now.`, false, () => undo(ticket, told.updated));
	} else {
		put(card, from);
		drawn();
	}
}

// Move a card to the next column that takes it.
export function moveBy(card, step) {
	const here = columns().indexOf(columnWith(card));
	const way = step > 0 ? columns().slice(here + 1) : columns().slice(0, here).reverse();
	const column = way.find(each => mayGo(card, each));
	if (column) move(card, column);
	else say(`#${card.dataset.ticket} may not go further.`, true);
}

let dragged;

// Show where what is dragged may go, and where it is.
function show(over) {
	board()?.classList.toggle("dragging", !!dragged);
	for (const column of columns()) {
		column.classList.toggle("takes", mayGo(dragged, column));
		column.classList.toggle("over", column === over);
	}
}

on("dragstart", event => {
	dragged = event.target.closest?.("[data-by] [draggable]");
	if (!dragged) return;
	event.dataTransfer.setData("text/plain", "");
	// Not at once: it is drawn first, as it is.
	setTimeout(show);
});
for (const name of ["dragover", "drop"]) {
	on(name, event => {
		const column = dragged && event.target.closest?.("[data-column]");
		const takes = column && mayGo(dragged, column);
		if (takes) event.preventDefault();
		if (name === "dragover") show(takes && column);
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
	for (const card of all("[data-by] [data-ticket]")) card.draggable = !!one("form", card);
	for (const column of columns()) one(".count", column).textContent = all("[data-ticket]", column).length;
});
drawn();
