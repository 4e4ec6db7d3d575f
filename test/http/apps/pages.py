"""The site as a WSGI application, for gunicorn."""

SMALL = b"0123456789abcde\n" * 64
TAG = '"small"'


def echo(environ, start):
    """Answers with what the application got: request line, header and body."""
    lines = ["%s %s %s" % (environ["REQUEST_METHOD"], environ.get("RAW_URI"), environ["SERVER_PROTOCOL"])]
    lines += sorted("%s=%s" % (k, v) for k, v in environ.items()
                    if k.startswith(("HTTP_", "CONTENT_")) or k == "QUERY_STRING")
    body = "\n".join(lines).encode("latin-1", "replace") + b"\n\n" + environ["wsgi.input"].read()
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def small(environ, start):
    """Answers with 1 KiB, or with 304 if the caller has it."""
    if environ.get("HTTP_IF_NONE_MATCH") == TAG:
        start("304 Not Modified", [("ETag", TAG)])
        return []
    start("200 OK", [("Content-Type", "text/plain"), ("ETag", TAG), ("Content-Length", str(len(SMALL)))])
    return [SMALL]


def app(environ, start):
    """Answers one request."""
    path = environ["PATH_INFO"]
    if path == "/echo":
        return echo(environ, start)
    if path in ("/", "/small"):
        return small(environ, start)
    if path == "/chunked":
        start("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one\n", b"two, which is longer\n", SMALL])
    if path == "/events":
        start("200 OK", [("Content-Type", "text/event-stream")])
        return (b"id: %d\ndata: event\n\n" % n for n in range(5))
    if path == "/redirect":
        start("302 Found", [("Location", "/small"), ("Content-Length", "0")])
        return []
    if path == "/nothing":
        start("204 No Content", [])
        return []
    if path in ("/empty", "/large"):
        body = SMALL * 1024 if path == "/large" else b""
        start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    if path == "/early":
        start("413 Content Too Large", [("Content-Length", "0")])
        return []
    start("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"not found\n"]
