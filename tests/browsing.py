"""A browser without a screen: it reads pages, follows links, fills in forms and sends them as browsers do."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Element:
    """An element of a page.

    inside:   its elements and texts.
    """

    def __init__(self, name, attributes, parent):
        self.name, self.attributes, self.parent = name, attributes, parent
        self.inside = []

    def __getitem__(self, name):
        return self.attributes[name]

    def get(self, name, default=None):
        return self.attributes.get(name, default)

    def all(self, name=None, **wanted):
        """Yield the elements inside of this one, at any depth, of a name and with these attributes."""
        for each in self.inside:
            if isinstance(each, Element):
                fits = all(each.get(key.strip("_")) == value for key, value in wanted.items())
                if name in (None, each.name) and fits:
                    yield each
                yield from each.all(name, **wanted)

    def one(self, name=None, **wanted):
        return next(self.all(name, **wanted))

    def of(self, kind):
        """Yield the elements of a class."""
        return (each for each in self.all() if kind in (each.get("class") or "").split())

    @property
    def text(self):
        parts = (each if isinstance(each, str) else each.text for each in self.inside)
        return "".join(parts)

    @property
    def words(self):
        return " ".join(self.text.split())


class Reader(HTMLParser):
    """Reads a page; what is not well nested is refused."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)
        self.feed(text)
        self.close()
        assert self.at is self.root, f"<{self.at.name}> is never closed"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        made = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.inside.append(made)
        if tag not in VOID:
            self.at = made

    def handle_endtag(self, tag):
        assert tag == self.at.name, f"</{tag}> ends <{self.at.name}>"
        self.at = self.at.parent

    def handle_data(self, data):
        # As browsers have it: the first line break of a textarea is none.
        if self.at.name == "textarea" and not self.at.inside:
            data = data.removeprefix("\n")
        self.at.inside.append(data)


def fields(form):
    """Return what a form sends unless somebody changes it, {name: value}."""
    found = {}
    for each in form.all():
        name = each.get("name")
        if not name:
            continue
        if each.name == "select":
            options = list(each.all("option"))
            chosen = [option for option in options if "selected" in option.attributes]
            if options:
                option = (chosen or options)[0]
                found[name] = option.get("value", option.text)
        elif each.name == "textarea":
            found[name] = each.text
        elif each.name == "input" and each.get("type") in ("radio", "checkbox"):
            if "checked" in each.attributes:
                found[name] = each.get("value", "on")
        elif each.name == "input":
            found[name] = each.get("value", "")
    return found


class Browser:
    """Somebody with a browser, but without its script.

    http:     the HTTP door.
    headers:  what goes with each request, such as a token.
    """

    def __init__(self, http, headers=None, host="iris.example:8000"):
        self.http, self.host = http, host
        self.headers = {"Accept": ACCEPT, "Host": host, **(headers or {})}
        self.answer = self.page = self.address = None

    def go(self, address, status=200):
        """Open a page by its address, as seen from the one that is open."""
        self.address = urljoin(self.address or "/", address)
        return self._take("GET", self.address, status)

    def _take(self, method, address, status, **more):
        headers = {**self.headers, **more.pop("headers", {})}
        self.answer = self.http(method, address.partition("#")[0], headers=headers, **more)
        assert self.answer.status == status, (method, address, self.answer.status, self.answer.text)
        if self.answer.headers.get("content-type", "").startswith("text/html"):
            self.page = Reader(self.answer.text).root if self.answer.text else None
        return self.page

    def form(self, action=None, kind=None, **having):
        """Return the first form that goes to an action, has a class, or fields of these values.

        Unless its class is asked for, it is one that writes.
        """
        for form in self.page.all("form", **({} if kind else {"method": "post"})):
            goes = urlsplit(urljoin(self.address, form.get("action", ""))).path
            fits = kind is None or kind in (form.get("class") or "").split()
            given = fields(form)
            has = all(given.get(name) == value for name, value in having.items())
            if fits and has and action in (None, goes):
                return form
        raise AssertionError(f"no form {action} {kind} {having} on {self.address}")

    def send(self, form, gives=303, origin=True, **changed):
        """Send a form with what is changed in it, and go where the answer says."""
        given = {**fields(form), **changed}
        to = urljoin(self.address, form.get("action", ""))
        # Browsers send line breaks as CR LF.
        sent = urlencode({name: re.sub("\r?\n", "\r\n", value) for name, value in given.items()})
        if form.get("method", "get") == "get":
            return self.go(f"{to.partition('?')[0]}?{sent}", gives)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if origin:
            headers |= {"Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin"}
        self.address = to
        self._take("POST", to, gives, raw=sent, headers=headers)
        if gives == 303:
            return self.go(self.answer.headers["location"])
        return self.page
