"""A worker of the product whose webhooks are appended to a file: ``python -m loadtest.chaos.worker``.

A webhook needs HTTPS and a public address, which a benchmark does not have; everything before the connection is the product's.
This file runs inside the worker's process. The load generator does not import the service, hence the import by name.
"""

from __future__ import annotations

import json
import os
import random
from importlib import import_module
from typing import Any

RECEIVED = "CHAOS_RECEIVED"
"""The variable with the path of the file."""
_REJECTED = 0.1
"""The share of deliveries that the receiver takes and does not acknowledge, so that they are sent again."""


async def receive(self: Any, ticket: Any) -> None:
    """Takes the place of ``SignedWebhook.deliver``."""
    line = json.dumps({"job": ticket.job_id, "body": json.loads(self._body_of(ticket))}, ensure_ascii=False) + "\n"
    file = os.open(os.environ[RECEIVED], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    if random.random() < _REJECTED:
        raise import_module("service.platform.errors").WebhookFailed("the receiver lost its answer")


if __name__ == "__main__":
    import_module("service.tickets.webhook").SignedWebhook.deliver = receive
    import_module("service.cli").main(["worker"])
