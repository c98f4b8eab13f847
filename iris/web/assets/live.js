// The page follows the feed: one connection, closed while nobody looks, resumed where it ended.

import { address, all, body, card, draw, drawn, element, on, one, read, say } from "./shared.js";
import { change, columnOf, put } from "./board.js";

// Parameters that don't settle which tickets are shown, or in which order.
const FREE = ["view", "by", "limit", "tz", "_done"];

const lamp = element("span", { class: "lamp" });
const number = +body.dataset.ticket;
let source, position, timer;
let took = 20, news = [];

function apply(event) {
	const { ticket_id, kind, changes, at } = event;
	if (!ticket_id) return kind !== "workflow_changed";
	if (number) return ticket_id !== number && !changes.other_id?.includes(number);
	const shown = card(ticket_id);
	const free = [...new URL(location).searchParams.keys()].every(each => FREE.includes(each));
	if (shown?.dataset.updated >= at) return true;
	if (kind === "created" || kind.includes("link")) return false;
	// Without a filter, what is not here comes after what is, and stays there.
	if (!shown) return free && !("status" in changes);
	if (kind === "deleted") shown.remove();
	else if (kind !== "changed") change(shown, { changes: {}, at });
	else return free && change(shown, event);
	return true;
}

// Draw what was just filed, and nothing else.
async function add(filed) {
	const there = new URL(location);
	there.searchParams.set("limit", filed.length + 9);
	const rows = all("main [data-ticket]", await read(there));
	// So many were filed meanwhile.
	if (filed.some(({ ticket_id }) => rows.every(each => each.dataset.ticket > ticket_id))) return draw();
	for (const found of rows) {
		const column = found.closest("[data-column]");
		const place = column ? columnOf(column.dataset.column) : one("#rows");
		if (!place) return draw();
		if (!card(found.dataset.ticket)) put(document.importNode(found, true), place);
	}
	drawn();
}

function hear() {
	timer = null;
	const left = news.filter(event => !apply(event));
	news = [];
	if (!left[0]) return drawn();
	const isNew = !number && !/sort|cursor/.test(location.search) && left.every(({ kind }) => kind === "created");
	// Many may hear of it at once: each asks at another time, later where that takes long.
	timer = setTimeout(async () => {
		const began = Date.now();
		await (isNew ? add(left) : draw()).catch(status => status === 404 && say("This is no more.", true));
		took = Date.now() - began;
		timer = null;
		if (news.length) later();
	}, Math.random() * 5 * took);
}
const later = () => (timer ??= setTimeout(hear, 20));

const light = words => (lamp.textContent = body.dataset.feed = words);

function listen() {
	position ??= body.dataset.live;
	source = new EventSource(address(`events?after=${position}`));
	source.onopen = () => light("live");
	source.onmessage = ({ data, lastEventId }) => {
		position = lastEventId;
		news.push(JSON.parse(data));
		later();
	};
	source.onerror = () => {
		light("not live");
		// Where one was refused, a browser doesn't try again.
		if (source?.readyState !== EventSource.CLOSED) return;
		source = null;
		setTimeout(follow, 2000 + 8000 * Math.random());
	};
}

// Listen if the page is looked at and shows what is now.
export function follow() {
	const wanted = !document.hidden && "live" in body.dataset;
	if (!wanted && source) {
		source.close();
		source = null;
		light("");
	} else if (wanted && !source) listen();
}

on("visibilitychange", follow);
one("header").append(lamp);
follow();
