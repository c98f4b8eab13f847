// A slider over time, and what is different now.

import { ask, body, card, draw, element, one, seen } from "./shared.js";
import { follow } from "./live.js";

const NOW = "1000";
const range = element("input", { type: "range", id: "when", max: NOW, value: NOW });
const output = element("output", {}, "now");
let begin, asked;

// Further back, steps are longer.
const timeOf = value => new Date(Date.now() - (Date.now() - begin) * (1 - value / NOW) ** 3);
const valueOf = time => Math.round(NOW * (1 - Math.cbrt((Date.now() - time) / (Date.now() - begin))));
const short = value => seen(typeof value === "object" ? JSON.stringify(value) : value).slice(0, 40);

async function mark() {
	const given = new URL(location).searchParams;
	given.set("since", given.get("as_of"));
	given.set("limit", 1000);
	for (const name of ["as_of", "view", "by", "sort", "cursor", "columns"]) given.delete(name);
	const rows = await ask("GET", `changes?${given}`);
	if (!rows || asked !== range.value) return;
	output.append(`, ${rows.length} changed since`);
	for (const { ticket_id, kind, changes, comments } of rows) {
		const place = +body.dataset.ticket === ticket_id ? one("h1") : one(".title", card(ticket_id) || range);
		const parts = Object.entries(changes).map(([name, [, now]]) => `${name} ${short(now)}`);
		if (comments) parts.push(`${comments} more comments`);
		if (kind === "deleted") parts.push(kind);
		place?.append(" ", element("span", { class: "differs" }, `now ${parts.join(", ") || "other links"}`));
	}
}

// Go where the slider stands; one step after another.
async function go() {
	output.textContent = range.value === NOW ? "now" : timeOf(range.value).toLocaleString();
	range.ariaValueText = output.textContent;
	if (asked) return;
	while (asked !== range.value) {
		asked = range.value;
		const there = new URL(location);
		there.searchParams.delete("cursor");
		if (asked === NOW) there.searchParams.delete("as_of");
		else there.searchParams.set("as_of", timeOf(asked).toISOString());
		await draw(there.href).catch(() => output.append(": not there"));
		follow();
		if (asked === range.value && asked !== NOW) await mark();
	}
	asked = null;
}

// When history began.
async function start() {
	const [first] = (await ask("GET", "events?after=0&limit=1")) || [];
	begin = Math.min(Date.parse(first?.at) || Infinity, Date.now() - 60000);
	const { asOf } = body.dataset;
	if (!asOf) return;
	range.value = valueOf(Date.parse(asOf) || Date.now());
	asked = range.value;
	output.textContent = asOf;
	await mark();
	asked = null;
}

if (/\/tickets(\/\d+)?$/.test(location.pathname)) {
	one("main").before(element("div", { class: "when" }, element("label", { for: "when" }, "Time"), range, output));
	let ready = body.dataset.asOf && start();
	range.oninput = () => (ready ||= start()).then(go);
}
