import { morph } from "./morph.js";

export const { body } = document;
export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];
export const address = path => new URL(body.dataset.root + path, location.href);
export const card = number => one(`main [data-ticket="${number}"]`);
export const on = (name, act) => document.addEventListener(name, act);
export const drawn = () => document.dispatchEvent(new Event("drawn"));

export function element(name, attributes, ...inside) {
	const made = document.createElement(name);
	for (const each in attributes) made.setAttribute(each, attributes[each]);
	made.append(...inside);
	return made;
}

export function button(words, act, key = "") {
	const made = element("button", { type: "button", "data-key": key }, words);
	made.onclick = act;
	return made;
}

// A text in which what can't be seen is, as in the server's pages.
export const seen = text => String(text ?? "").replace(/(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");

const told = element("div", { id: "told", role: "status" });
body.append(told);

// Tell what was done or refused; and how to take it back.
export function say(words, refused, undo) {
	told.className = refused ? "refused" : "";
	const close = () => told.replaceChildren();
	const taking = undo ? [button("Undo", () => close(undo()), "u"), " "] : [];
	told.replaceChildren(element("p", {}, seen(words), " ", ...taking, button("Close", close)));
}

// Ask as curl does, for JSON; what is refused is told in the words of who refused.
export async function ask(method, path, given) {
	try {
		const answer = await fetch(address(path), {
			method,
			headers: { Accept: "application/json", "Content-Type": "application/json" },
			body: given && JSON.stringify(given),
		});
		const found = await answer.json();
		if (answer.ok) return found;
		say([found.detail || found.title, found.hint].filter(Boolean).join(". "), true);
	} catch {
		say("Iris can't be reached.", true);
	}
}

// Read a page, as a document in which nothing runs; no script here makes HTML of a text.
export function read(where) {
	return new Promise((resolve, reject) => {
		const request = new XMLHttpRequest();
		request.open("GET", where);
		request.responseType = "document";
		request.setRequestHeader("Accept", "text/html");
		request.onloadend = () => (request.status === 200 ? resolve(request.response) : reject(request.status));
		request.send();
	});
}

// Draw the page as the server has it now, from this or another address.
export async function draw(where = location.href) {
	const fresh = await read(where);
	history.replaceState(null, "", where);
	morph(one("main"), one("main", fresh));
	document.title = fresh.title;
	for (const name of ["live", "asOf", "workflow"]) {
		delete body.dataset[name];
		if (name in fresh.body.dataset) body.dataset[name] = fresh.body.dataset[name];
	}
	drawn();
}
