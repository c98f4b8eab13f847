// Keys: what has data-key="n" is what n does, and these go from ticket to ticket.

import { all, body, button, element, on, one, read, say } from "./shared.js";
import { moveBy } from "./board.js";

const TYPED = "textarea, select, input:not([type=checkbox], [type=radio], [type=range])";
const isOff = () => localStorage.keys === "off";
const current = () => document.activeElement.closest("main [data-ticket]");
const inside = (place = one("main")) => all("[data-ticket]", place);

function stand(card) {
	if (!card) return;
	one("a", card).focus();
	card.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function along(step) {
	const card = current();
	const cards = inside(card?.closest("[data-column]") ?? undefined);
	stand(card ? cards[cards.indexOf(card) + step] : cards[0]);
}

function across(step) {
	const card = current();
	const columns = all("[data-column]").map(inside).filter(cards => cards[0]);
	const here = columns.findIndex(cards => cards.includes(card));
	const there = columns[here + step] || [];
	stand(here < 0 ? inside()[0] : there[columns[here].indexOf(card)] || there.at(-1));
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

async function help(link) {
	const shown = await read(link.href);
	const close = button("Close", () => dialog.close());
	const other = isOff() ? "on" : "off";
	const turn = button(`Turn keys ${other}`, () => {
		localStorage.keys = other;
		dialog.close();
		say(`Keys are ${other}.`);
	});
	const dialog = element("dialog", { "aria-label": "Help" }, close, " ", turn, document.importNode(one("main", shown), true));
	dialog.onclose = () => dialog.remove();
	body.append(dialog);
	dialog.showModal();
}

on("click", event => {
	const link = event.target.closest?.('a[data-key="?"]');
	if (!link) return;
	event.preventDefault();
	help(link);
});

on("keydown", event => {
	const { key, target } = event;
	if (event.ctrlKey || event.metaKey || event.altKey || target.closest("dialog")) return;
	if (target.matches(TYPED)) return key === "Escape" && target.blur();
	const marked = one(`[data-key="${CSS.escape(key)}"]`);
	if ((isOff() && key !== "?") || !(marked || WAYS[key])) return;
	event.preventDefault();
	if (!marked) WAYS[key]();
	else if (marked.matches(TYPED)) marked.focus();
	else (one("summary", marked) || marked).click();
});
