"""Operations: routes as OpenAPI has them."""

import re

from iris import formats, problems, rights
from iris.described import examples, shapes
from iris.formats import problem as problem_format
from iris.intake import auth, headers, negotiation, routes, types

JSON, PAGE, FORM, TEXT, NDJSON = (
    routes.JSON,
    "text/html",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/x-ndjson",
)
STATUSES = problem_format.REASONS
WRITES = ("PUT", "POST", "PATCH", "DELETE")


class Route:
    """A route: its method, its path, and what its function says of itself."""

    def __init__(self, method, path, handler):
        self.method, self.path = method, path
        self.types = handler.input_transformations
        self.required = handler.required
        self.status = int((handler.set_status or "200")[:3])
        self.does = handler.interface.spec
        self.in_path = re.findall(r"\{(\w+)\}", path)
        self.writes = method in WRITES

    def said(self, name, default=None):
        """Return what its function says of itself by one of iris.intake.routes."""
        return self.does.__dict__.get(name, default)

    @property
    def offers(self):
        """Return the media types of its answers, JSON first."""
        served = self.said("serves") or self.said("offers", routes.EACH)
        return sorted(served, key=lambda media: media != JSON)

    @property
    def has_body(self):
        return self.method in ("PUT", "POST", "PATCH") and bool(self.in_body)

    @property
    def in_body(self):
        return [
            name
            for name, kind in self.types.items()
            if self.writes
            and name not in (*self.in_path, *self.said("how", ()))
            and not isinstance(kind, types.Pairs)
        ]

    @property
    def in_query(self):
        """Return the names of its parameters in the query, but those of which there are any number."""
        return [
            name
            for name, kind in self.types.items()
            if name not in (*self.in_path, *self.in_body) and not isinstance(kind, types.Pairs)
        ]

    @property
    def names(self):
        """Return an operationId: the method and the words of the path."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path)]) or "start"

    @property
    def streams(self):
        return not {formats.STREAM, NDJSON}.isdisjoint(self.offers)

    def codes(self):
        """Return the codes of problems.CODES by which it may refuse."""
        found = [*problems.ANYWHERE, *self.said("refuses", ())]
        if self.types or not self.said("serves"):
            found.append("invalid_value")
        if self.writes:
            found += problems.OF_WRITES
        elif "Iris-Actor" in self.heeds:
            found.append("invalid_actor")
        if self.streams:
            found += problems.OF_STREAMS
        for name in self.in_path:
            if name.endswith("_id"):
                found.append(f"no_such_{name.removesuffix('_id').replace('other', 'ticket')}")
        if auth.WANTED and not self.is_open:
            # Whose token it is, the database says.
            return [*found, *problems.OF_THE_DATABASE, *problems.OF_TOKENS]
        return found if self.said("asks_nobody") else [*found, *problems.OF_THE_DATABASE]

    @property
    def is_open(self):
        """Whether it needs no token."""
        return self.path in auth.OPEN

    @property
    def heeds(self):
        """Return the names of the headers that it heeds."""
        found = ["X-Request-Id", *self.said("heeds", ())]
        # In a list, and in what counts it, somebody may be `me`.
        people = any(getattr(kind, "people", False) for kind in self.types.values())
        shape, _ = self.said("gives", (None, {}))
        if self.writes or people or isinstance(shape, shapes.Rows):
            found.append("Iris-Actor")
        if self.writes:
            found.append("Idempotency-Key")
        # Where tokens say who acts, nobody else does.
        return [name for name in dict.fromkeys(found) if not (auth.WANTED and name == "Iris-Actor")]


class Describer:
    """Describes routes.

    writer:   a schemas.Writer, which gathers the schemas.
    routes:   all Routes, to which answers link.
    """

    def __init__(self, writer, routes):
        self.writer, self.routes = writer, routes
        # {(status, codes): name} of answers that are no success.
        self.refusals = {}

    def operation(self, route):
        """Return a route as an OpenAPI operation."""
        summary, description = words(route)
        made = {
            "operationId": route.names,
            "summary": summary,
            "description": description,
            "tags": [route.does.__module__.rpartition(".")[2]],
            "parameters": list(self.parameters(route)),
            "responses": self.responses(route),
        }
        if route.has_body:
            made["requestBody"] = self.body(route)
        if auth.WANTED and route.is_open:
            made["security"] = []
        return made

    # What is asked --------------------------------------------------------------------------------

    def parameters(self, route):
        """Yield the parameters of a route."""
        shown = examples.of(route)
        looks = {} if route.said("serves") else negotiation.LOOK
        kinds = {**looks, **route.types}
        in_query = dict.fromkeys((*route.in_query, *looks))
        for place, names in (("path", route.in_path), ("query", in_query)):
            for name in names:
                schema = self.writer.parameter(kinds[name], typed=False)
                made = {"name": name, "in": place, "schema": schema}
                if "description" in schema:
                    made["description"] = schema.pop("description")
                if name in route.required or place == "path":
                    made["required"] = True
                if name in shown:
                    made["example"] = shown[name]
                yield made
        if route.said("serves") is None:
            names = {each: name for name, each in formats.MEDIA.items()}
            known = [names[media] for media in route.offers]
            yield {
                "name": "format",
                "in": "query",
                "description": "The format of the answer, before what Accept says",
                "schema": {"type": "string", "enum": known},
            }
        for name in route.heeds:
            header = headers.TAKEN[name]
            schema = {"type": "string"}
            if header.pattern:
                schema["pattern"] = header.pattern
            yield {"name": name, "in": "header", "description": header.does, "schema": schema}

    def body(self, route):
        """Return the bodies that a route takes."""
        split = route.said("takes_text")
        content = {
            JSON: {"schema": self._given(route, True)},
            FORM: {"schema": self._given(route, False)},
        }
        shown = {name: value for name, value in examples.of(route).items() if name in route.in_body}
        if shown:
            for each in content.values():
                each["example"] = shown
        if route.said("takes_many"):
            one = content[JSON]["schema"]
            content[JSON]["schema"] = {"anyOf": [one, {"type": "array", "items": one}]}
            content[NDJSON] = {"schema": shapes.MEDIA}
        if split and not set(route.in_body).intersection(route.required):
            content[TEXT] = {"schema": self._text(route, split)}
        needed = any(name in route.required for name in route.in_body) or any(_needed(route))
        return {"content": content, "required": needed}

    def _text(self, route, split):
        """Return the schema of a text that is taken as it is."""
        name, *others = split("first\nsecond")
        made = self.writer.parameter(route.types[name], typed=False)
        if others:
            # What becomes of its lines, no JSON Schema says.
            made = {"type": "string", "format": f"{name}-and-{'-'.join(others)}"}
        return {**made, "description": split.__doc__.partition("\n")[0]}

    def _given(self, route, typed):
        """Return the schema of what a route takes, of a component of that name where it is JSON."""
        made = {
            "type": "object",
            "properties": {
                name: self.writer.parameter(route.types[name], typed) for name in route.in_body
            },
            "additionalProperties": False,
        }
        needed = [name for name in route.in_body if name in route.required]
        filed, key = _needed(route)
        if key:
            # What names one that is there changes it.
            made["if"], made["then"] = {"not": {"required": [key]}}, {"required": filed}
        else:
            needed = [*dict.fromkeys([*needed, *filed])]
        made |= {"required": needed} if needed else {}
        if route.said("one_of") == tuple(route.in_body):
            made |= {"minProperties": 1, "maxProperties": 1}
        if not typed:
            return made
        # Of /tickets/{ticket_id}/comments: TicketComment.
        nouns = [word.removesuffix("s") for word in route.path.split("/") if word[:1].isalpha()]
        name = "".join(map(str.capitalize, nouns)) + (
            "Changed" if route.path.endswith("}") else "Given"
        )
        return self.writer.named(name, lambda: made)

    # What is answered -----------------------------------------------------------------------------

    def responses(self, route):
        """Return the answers of a route, {status: response}."""
        shape, others = route.said("gives", (None, {}))
        found = {route.status: shape} | {int(each[-3:]): of for each, of in others.items()}
        made = {str(status): self.answer(route, status, of) for status, of in sorted(found.items())}
        if route.status == 204:
            # As text it says so.
            text = {"content": {TEXT: {"schema": shapes.MEDIA}}}
            made["200"] = {"description": STATUSES[200], "headers": made["204"]["headers"], **text}
        if route.writes:
            # A browser is sent on to the page that shows it.
            location = {"Location": _header("Location")}
            made["303"] = {"description": STATUSES[303], "headers": location}
            made["303"]["content"] = {PAGE: {"schema": shapes.MEDIA}}
        by_status = {}
        for code in dict.fromkeys(route.codes()):
            by_status.setdefault(problems.CODES[code][0], []).append(code)
        for status, codes in sorted(by_status.items()):
            key = (status, tuple(sorted(codes)))
            number = sum(each == status for each, _ in self.refusals)
            name = f"Problem{status}" + (f"_{number}" if number else "")
            name = self.refusals.setdefault(key, name)
            made[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return made

    def answer(self, route, status, shape):
        """Return one answer that is a success."""
        made = {"description": STATUSES[status], "headers": self.headers(route, status)}
        if status in (204, 304):
            return made
        # Of JSON whose route does not say what it is, nothing is claimed.
        schema = self.writer.shape(shapes.ANYTHING if shape is None else shape)
        made["content"] = {
            media: {"schema": schema if media == JSON else shapes.MEDIA} for media in route.offers
        }
        if links := dict(self.links(shape)):
            made["links"] = links
        return made

    def links(self, shape):
        """Yield (name, link) of what can be done with the first thing that an answer shows, by its number."""
        if not isinstance(shape, shapes.Row | shapes.Rows):
            return
        model = shape.model if isinstance(shape, shapes.Row) else shape.listing.model
        place = "" if isinstance(shape, shapes.Row) else "/0"
        for key in (each.name for each in model.__table__.columns if each.identity):
            shown = {key: f"$response.body#{place}/{key}"}
            for route in self.routes:
                if isinstance(shape, shapes.Row) and route.in_path == [key]:
                    yield route.names, {"operationId": route.names, "parameters": shown}
                elif key in route.said("one_of", ()):
                    yield route.names, {"operationId": route.names, "requestBody": shown}

    def headers(self, route, status):
        """Return the headers of an answer."""
        names = ["X-Request-Id", *route.said("headers", ())]
        if route.writes:
            names.append("Idempotent-Replayed")
        if any(getattr(kind, "is_time", False) for kind in route.types.values()):
            names.append("Iris-Timezone")
        if status != 201:
            names = [name for name in names if name != "Location"]
        if auth.RATE is not None and auth.WANTED:
            names += ["RateLimit", "RateLimit-Policy"]
        return {name: _header(name) for name in dict.fromkeys(names)}

    def problems(self):
        """Return the answers that are no success, {name: response}."""
        return {name: self._problem(*key) for key, name in self.refusals.items()}

    def _problem(self, status, codes):
        known = {"properties": {"code": {"type": "string", "enum": list(codes)}}}
        schema = {"allOf": [self.writer.shape(PROBLEM), known]}
        told = "\n".join(f"- `{code}`: {problems.CODES[code][1]}" for code in codes)
        made = {
            "description": f"{STATUSES[status]}\n\n{told}",
            "headers": {"X-Request-Id": _header("X-Request-Id")},
            "content": {
                problem_format.PROBLEM: {"schema": schema},
                **{media: {"schema": shapes.MEDIA} for media in (TEXT, PAGE)},
            },
        }
        if status in (429, 503):
            made["headers"]["Retry-After"] = _header("Retry-After")
        return made


def _needed(route):
    """Return (the columns that a new row needs, the name by which the body may name one that is there).

    None for the second where there is none; neither, where the path names it already.
    """
    if route.path.endswith("}"):
        return [], None
    columns = {name: getattr(route.types[name], "column", None) for name in route.in_body}
    columns = {name: each for name, each in columns.items() if each is not None}
    needed = [
        name for name, each in columns.items() if not each.nullable and each.server_default is None
    ]
    keys = [each.name for column in columns.values() for each in column.table.c if each.identity]
    return needed, next((key for key in keys if key in route.in_body), None)


def _header(name):
    return {"description": headers.SHOWN[name].does, "schema": {"type": "string"}}


def words(route):
    """Return (summary, description) of a route, by what its function says, and who may."""
    summary, _, more = (route.does.__doc__ or "").partition("\n")
    more = re.sub(r"(?m)^    ", "", more).strip()
    description = re.sub(r"(?ms)^curl .*", lambda found: f"```sh\n{found[0]}\n```", more)
    if any(isinstance(kind, types.Pairs) for kind in route.types.values()):
        description += (
            "\n\n`fields.NAME=value` keeps those with that in their `fields`, any number of times."
        )
    if route.has_body:
        description += "\n\nWhat the body says may stand in the query as well."
    right = rights.of(route.method, route.path)
    if auth.WANTED and right:
        description += f"\n\nThe role {right.role} may {right.does}."
    return summary, description.strip()


PROBLEM = shapes.Record(
    "Problem",
    {
        "type": {
            "type": "string",
            "pattern": "^urn:iris:problem:",
            "description": "Its code, as a URN",
        },
        "title": {**shapes.TEXT, "description": "What the code means"},
        "status": {**shapes.NUMBER, "description": "The status of the answer"},
        "detail": {**shapes.TEXT, "description": "A sentence for people"},
        "code": {"type": "string", "enum": list(problems.CODES), "description": "For programs"},
        "hint": {**shapes.TEXT, "description": "What to do about it"},
        "errors": {
            "description": "{field: message}; of many rows a list",
            "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
        },
        "index": {**shapes.NUMBER, "description": "Of many rows: which one, from 0"},
        "allowed": {"type": "array", "items": {}, "description": "What would be taken"},
        "conflicts": {"type": "array", "items": {}, "description": "What was changed since"},
        "current": {"type": "object", "description": "The ticket as it is"},
        "sqlstate": {**shapes.TEXT, "description": "PostgreSQL's code"},
        "request_id": {**shapes.TEXT, "description": "Its name in Iris's log"},
    },
    ("hint", "errors", "index", "allowed", "conflicts", "current", "sqlstate"),
)
