// A slider over time: the page as it was, and what is different now.

import { ask, body, card, draw, element, one, seen } from "./shared.js";
import { follow } from "./live.js";

const NOW = 1000;
const range = element("input", { type: "range", id: "when", max: NOW, value: NOW });
const output = element("output", { for: "when" }, "now");
let begin, asked;

// Further back, a step is longer: the last ones are minutes.
const timeOf = value => new Date(Date.now() - (Date.now() - begin) * (1 - value / NOW) ** 3);
const valueOf = time => Math.round(NOW * (1 - Math.cbrt((Date.now() - time) / (Date.now() - begin))));
const short = value => seen(typeof value === "object" ? JSON.stringify(value) : value).slice(0, 40);

// Mark what is different now.
async function mark() {
  const given = new URL(location).searchParams;
  given.set("since", given.get("as_of"));
  given.set("limit", 1000);
  for (const name of ["as_of", "view", "by", "sort", "cursor", "columns"]) given.delete(name);
  const rows = await ask("GET", `changes?${given}`);
  if (!rows || asked !== range.value) return;
  output.append(`, ${rows.length} changed since`);
  for (const { ticket_id, kind, changes, comments } of rows) {
    const place = Number(body.dataset.ticket) === ticket_id ? one("h1") : card(ticket_id);
    const parts = Object.entries(changes).map(([name, [, now]]) => `${name} ${short(now)}`);
    if (comments) parts.push(`${comments} more comments`);
    const words = kind === "deleted" ? kind : parts.join(", ") || "other links";
    (place && one(".title", place) || place)?.append(" ", element("span", { class: "differs" }, `now ${words}`));
  }
}

// Go where the slider stands; a step at a time, and the last one for sure.
async function go() {
  output.textContent = Number(range.value) === NOW ? "now" : timeOf(range.value).toLocaleString();
  range.setAttribute("aria-valuetext", output.textContent);
  if (asked) return;
  while (asked !== range.value) {
    asked = range.value;
    const there = new URL(location);
    there.searchParams.delete("cursor");
    if (Number(asked) === NOW) there.searchParams.delete("as_of");
    else there.searchParams.set("as_of", timeOf(asked).toISOString());
    await draw(there.href).catch(status => output.append(status === 404 ? ": it was not there" : ": not to be read"));
  }
  follow();
  if (Number(asked) !== NOW) await mark();
  asked = null;
}

// When history began.
async function start() {
  const [first] = (await ask("GET", "events?after=0&limit=1")) || [];
  begin = Math.min(Date.parse(first?.at) || Infinity, Date.now() - 60000);
  const { asOf } = body.dataset;
  if (!asOf) return;
  range.value = asked = valueOf(Date.parse(asOf) || Date.now());
  output.textContent = asOf;
  await mark();
  asked = null;
}

if (/\/tickets(\/\d+)?$/.test(location.pathname)) {
  one("main").before(element("div", { class: "when" }, element("label", { for: "when" }, "Time"), range, output));
  let ready = body.dataset.asOf && start();
  range.oninput = () => (ready ||= start()).then(go);
}
