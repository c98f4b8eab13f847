// The page follows the feed: one connection a page, closed while nobody looks, resumed where it ended.

import { address, body, card, draw, drawn, element, one, say, seen } from "./shared.js";
import { columnOf, fit, put, workflow } from "./board.js";

// What a card or a row shows in plain words, so that an event is enough to change it; and what none shows.
const WORDS = ["title", "status", "assignee", "priority"];
const UNSEEN = ["description", "fields", "reporter"];
// Parameters that don't settle which tickets are shown, or in which order.
const FREE = ["view", "by", "limit", "tz"];
// Who was away for longer gets the page as it is now, not all that happened meanwhile.
const AWAY = 60000;

const lamp = element("span", { class: "lamp" });
const number = body.dataset.ticket;
let source, position, left, timer;
let failures = 0, took = 20, news = [];

// Apply an event to a card. Returns whether that is all; else the server has to be asked.
function change(shown, { changes, at }) {
  const ways = workflow();
  const by = one("[data-by]")?.dataset.by;
  for (const [name, [, now]] of Object.entries(changes)) {
    if (UNSEEN.includes(name)) continue;
    if (!WORDS.includes(name) || (name === by && !columnOf(now)) || (name === "status" && !ways[now])) return false;
    const place = one(`.${name}`, shown);
    if (!place && name !== by) return false;
    if (place) (one("bdi", place) || place).textContent = seen(now);
    if (name === "priority" && place) place.className = `priority ${now}`;
    if (name === "status") {
      shown.dataset.next = JSON.stringify(ways[now].next);
      shown.classList.toggle("closed", !ways[now].open);
    }
    if (name === by) put(shown, columnOf(now));
  }
  shown.dataset.version = Number(shown.dataset.version) + 1;
  shown.dataset.updated = at;
  fit(shown);
  return true;
}

// Apply an event to the page; the same.
function apply(event) {
  const { ticket_id, kind, changes, at } = event;
  if (!ticket_id) return kind !== "workflow_changed";
  if (number) return ticket_id !== Number(number) && !changes.other_id?.includes(Number(number));
  const shown = card(ticket_id);
  const free = [...new URL(location).searchParams.keys()].every(each => FREE.includes(each));
  if (shown?.dataset.updated >= at) return true;
  if (kind === "created" || kind.includes("link")) return false;
  // Without a filter, what is not here comes after what is, and stays there.
  if (!shown) return free && !("status" in changes);
  if (kind === "deleted") shown.remove();
  // A comment is not shown here, but counts.
  else if (kind !== "changed") change(shown, { changes: {}, at });
  else return free && change(shown, event);
  return true;
}

function hear() {
  timer = null;
  const whole = news.map(apply).every(Boolean);
  news = [];
  if (whole) return drawn();
  // Many may read this page, and all hear of it at once: each asks at some other time, later where that takes long.
  timer = setTimeout(async () => {
    const began = Date.now();
    await draw().catch(status => status === 404 && say("This is no more.", true));
    took = Date.now() - began;
    timer = null;
    if (news.length) later();
  }, Math.random() * Math.min(5 * took, AWAY));
}
// What comes together is looked at together.
const later = () => (timer ??= setTimeout(hear, 20));

function light(words) {
  lamp.textContent = words;
  body.dataset.feed = words;
}

function listen() {
  position ??= body.dataset.live;
  source = new EventSource(address(`events?after=${position}`));
  source.onopen = () => {
    failures = 0;
    light("live");
  };
  source.onmessage = ({ data, lastEventId }) => {
    position = lastEventId;
    news.push(JSON.parse(data));
    later();
  };
  source.onerror = () => {
    light("not live");
    // A browser tries again by itself where the connection was lost, not where it was refused one.
    if (source?.readyState !== EventSource.CLOSED) return;
    source = null;
    setTimeout(follow, Math.min(1000 * 2 ** failures++, 30000) * (0.5 + Math.random()));
  };
}

// Listen, or no more, as the page is looked at and shows what is now.
export async function follow() {
  const wanted = !document.hidden && "live" in body.dataset;
  if (!wanted && source) {
    source.close();
    source = null;
    left = Date.now();
    light("");
  }
  if (!wanted || source) return;
  if (left && Date.now() - left > AWAY) await draw().then(() => (position = body.dataset.live), () => {});
  if (!source) listen();
}

document.addEventListener("visibilitychange", follow);
one("header").append(lamp);
follow();
