// Make a part of the page what the server says of it now, but for what somebody is doing there: the focus,
// what is typed or opened, how far it is scrolled.

// What is the same thing, wherever it stands.
const key = node => (node.dataset?.ticket ? `ticket ${node.dataset.ticket}` : node.id || "");

// Whether a field is not as the page brought it.
function isTyped(field) {
	if (field.type === "hidden" || field.matches("button, fieldset, output")) return false;
	if (field === document.activeElement) return true;
	if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
	if (!field.options) return field.value !== field.defaultValue;
	const chosen = [...field.options].findLastIndex(option => option.defaultSelected);
	return field.selectedIndex !== Math.max(chosen, 0);
}

function attributes(old, fresh) {
	for (const { name } of [...old.attributes, ...fresh.attributes]) {
		const value = fresh.getAttribute(name);
		if (name === "open" || value === old.getAttribute(name)) continue;
		if (value === null) old.removeAttribute(name);
		else old.setAttribute(name, value);
	}
}

function children(old, fresh, known, wanted) {
	let at = old.firstChild;
	for (const want of [...fresh.childNodes]) {
		let have = key(want) ? known.get(key(want)) : at;
		while (!key(want) && have && (key(have) || have.nodeName !== want.nodeName)) have = have.nextSibling;
		if (have?.nodeName !== want.nodeName) have = document.importNode(want, false);
		if (have === at) at = at.nextSibling;
		// Keeps the focus, where a browser has it.
		else if (have.isConnected && old.moveBefore) old.moveBefore(have, at);
		else old.insertBefore(have, at);
		update(have, want, known, wanted);
	}
	while (at) {
		const next = at.nextSibling;
		// What is wanted elsewhere is fetched later.
		if (!wanted.has(key(at))) at.remove();
		at = next;
	}
}

function update(old, fresh, known, wanted) {
	if (old.isEqualNode(fresh)) return;
	if (!old.attributes) old.data = fresh.data;
	// As a whole, for it carries the version that was seen when one began to write.
	else if (!(old.matches("form") && [...old.elements].some(isTyped))) {
		attributes(old, fresh);
		children(old, fresh, known, wanted);
		if (old.matches("input, textarea, select")) old.value = fresh.value;
	}
}

const keyed = root => [...root.querySelectorAll("[id], [data-ticket]")];

// Make an element of this page what one of another document is.
export function morph(old, fresh) {
	const focused = document.activeElement;
	const known = new Map(keyed(old).map(each => [key(each), each]));
	update(old, fresh, known, new Set(keyed(fresh).map(key)));
	if (document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
}
