"""Serves metrics to a scraper from a thread, and bounds what a stranger's connections may cost."""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from typing_extensions import override

CONNECTIONS = 16
"""Most connections, each a thread. One more ends the oldest: a scrape takes milliseconds, a stranger may stay for ever."""
_TIMEOUT_S = 10.0


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT_S
    """Of each read and write, in seconds. Request line and headers have the limits of ``http.server``: 64 KiB and 100."""

    @override
    def log_message(self, format: str, *args: object) -> None:
        return


class ScrapeServer(ThreadingMixIn, WSGIServer):
    """A thread per connection, at most ``CONNECTIONS``."""

    daemon_threads = True
    request_queue_size = 64

    @override
    def server_activate(self) -> None:
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().server_activate()

    @override
    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _end(oldest)
            self._open[request] = None
        super().process_request(request, client_address)  # type: ignore[arg-type]

    @override
    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        return  # a connection that ended while it was read or written


def start_scrape_server(port: int, host: str, registry: CollectorRegistry) -> ScrapeServer:
    """A running server of the metrics in ``registry``; its thread ends with ``shutdown``."""

    class Server(ScrapeServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    server = make_server(host, port, make_wsgi_app(registry), Server, handler_class=_Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
    except OSError:
        return  # it has ended by itself
