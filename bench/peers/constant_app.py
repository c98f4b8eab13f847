"""The limit of HTTP: as many bytes as the path's first part says, and nothing else done for them."""


def app(environ, start_response):
    environ["wsgi.input"].read()
    size = int(environ["PATH_INFO"].split("/")[1])
    head = [("Content-Type", "application/json"), ("Content-Length", str(size))]
    start_response("200 OK", head)
    return [b"x" * size]
