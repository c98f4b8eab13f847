"""Receivers of hooks, as tests and docs have them: plain servers that keep what they are sent."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """A server on this machine that keeps what it is sent.

    received: [(path, headers, body)] of what was accepted, in order.
    tries:    the same of all.
    answers:  (number of the try, path) → (status, headers, body); by default 204.
    """

    def __init__(self, answers=None, port=0, host="127.0.0.1", certificate=None):
        self.received, self.tries = [], []
        self.answers = answers or (lambda number, path: (204, {}, b""))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                it = self.path, dict(self.headers.items()), body
                receiver.tries.append(it)
                status, headers, said = receiver.answers(len(receiver.tries), self.path)
                if 200 <= status < 300:
                    receiver.received.append(it)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(said)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            do_PUT = do_POST

            def log_message(self, *words):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, request, client_address):
                """Who is killed hangs up in the middle."""

        self.server = Server((host, port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def events(self, path=None):
        """Return the events that were accepted, as JSON has them."""
        return [
            json.loads(body)["data"]["event"]
            for where, _, body in self.received
            if path in (None, where)
        ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
