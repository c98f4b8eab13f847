"""Passes on what a hook is told, as Slack, Matrix or a CI job wants it: an example to be copied, tried by tests/test_delivery.py.

IRIS_SECRET=whsec_… python tests/relay.py PORT slack|matrix|ci URL
"""

import json
import os
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import standardwebhooks


def sentence(told):
    """Return an event in a line: who did what to which ticket."""
    event, ticket = told["data"]["event"], told["data"]["ticket"]
    of = f"#{ticket['ticket_id']} {ticket['title']}" if ticket else "the tracker"
    changes = ", ".join(f"{name} {old} → {new}" for name, (old, new) in event["changes"].items())
    return f"{event['actor']} {event['kind']} {of}" + (
        f": {changes}" if event["kind"] == "changed" else ""
    )


def passed_on(kind, url, told, body, number):
    """Return the request that a kind of receiver wants."""
    made = {
        "slack": ("POST", {"text": sentence(told)}),
        "matrix": ("PUT", {"msgtype": "m.text", "body": sentence(told)}),
        "ci": ("POST", None),
    }[kind]
    if kind == "matrix":
        path, _, query = url.partition("?")
        url = f"{path}/{quote(number)}?{query}"
    data = json.dumps(made[1]).encode() if made[1] else body
    return urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=made[0])


def serve(port, kind, url, secret):
    """Return a server that passes on what is signed by a secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = 204
            try:
                told = standardwebhooks.Webhook(secret).verify(body, headers)
                request = passed_on(kind, url, told, body, headers["webhook-id"])
                urllib.request.urlopen(request, timeout=10).close()
            except standardwebhooks.webhooks.WebhookVerificationError:
                status = 401
            except urllib.error.URLError:
                # Iris tries again.
                status = 502
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    port, kind, url = sys.argv[1:]
    serve(int(port), kind, url, os.environ["IRIS_SECRET"]).serve_forever()
