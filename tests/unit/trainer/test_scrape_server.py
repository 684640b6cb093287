"""The exporter's server under connections that stay."""

import socket
from urllib.request import urlopen

from prometheus_client import CollectorRegistry

from trainer.scrape_server import CONNECTIONS, start_scrape_server


def test_a_scrape_is_answered_while_strangers_hold_every_connection():
    server = start_scrape_server(0, "127.0.0.1", CollectorRegistry())
    address = ("127.0.0.1", server.server_port)
    try:
        strangers = [socket.create_connection(address) for _ in range(CONNECTIONS * 3)]
        for n, stranger in enumerate(strangers):
            stranger.sendall(b"GET /metrics HTTP/1.1\r\nX: "[: n * 2])
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=30) as answer:
            assert answer.status == 200
        strangers[0].settimeout(30)
        assert strangers[0].recv(1) == b""  # the oldest made room
        endless = socket.create_connection(address)
        endless.sendall(b"GET /" + b"a" * 70_000)
        assert b" 414 " in endless.recv(100)
        for connection in (*strangers, endless):
            connection.close()
    finally:
        server.shutdown()
        server.server_close()
