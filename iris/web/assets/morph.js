// Make a part of the page what the server says of it now, and leave alone what somebody is doing there:
// where the focus is, what is typed or opened, how far it is scrolled.

// What is the same before and after, wherever it stands.
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
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh, known, wanted) {
  let at = old.firstChild;
  for (const want of [...fresh.childNodes]) {
    let have = key(want) ? known.get(key(want)) : at;
    while (!key(want) && have && (key(have) || have.nodeName !== want.nodeName)) have = have.nextSibling;
    if (have?.nodeName !== want.nodeName) have = document.importNode(want, false);
    if (have === at) at = at.nextSibling;
    // Keeps the focus and what is played, where a browser has it.
    else if (have.isConnected && old.moveBefore) old.moveBefore(have, at);
    else old.insertBefore(have, at);
    update(have, want, known, wanted);
  }
  while (at) {
    const next = at.nextSibling;
    // What is wanted elsewhere is fetched from here.
    if (!wanted.has(key(at))) at.remove();
    at = next;
  }
}

function update(old, fresh, known, wanted) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) old.data = fresh.data;
  // A form is left alone as a whole: it carries the version that was seen when one began to write.
  else if (!(old.matches("form") && [...old.elements].some(isTyped))) {
    attributes(old, fresh);
    children(old, fresh, known, wanted);
    if (old.matches("input, textarea, select")) old.value = fresh.value;
  }
}

const keyed = root => [...root.querySelectorAll("[id], [data-ticket]")];

// Make old, an element of this page, what fresh is, an element of another document.
export function morph(old, fresh) {
  const focused = document.activeElement;
  const known = new Map(keyed(old).map(each => [key(each), each]));
  update(old, fresh, known, new Set(keyed(fresh).map(key)));
  if (document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
}
