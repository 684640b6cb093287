"""The health check of a container: ``python -m service.platform.ready [PORT]``, for the API or the worker.

Standard library only, because it is started every few seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

_TIMEOUT_S = 8.0
_open = build_opener(ProxyHandler({})).open


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 if ``/readyz`` on the port (8080) returns 200, else 1 with its reasons on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    port = given[0] if given else "8080"
    try:
        _open(f"http://127.0.0.1:{int(port)}/readyz", timeout=_TIMEOUT_S).close()
    except HTTPError as error:
        with error:
            sys.exit("; ".join(json.load(error)["reasons"]))
    except (URLError, OSError) as error:
        sys.exit(f"no response on port {port}: {error}")


if __name__ == "__main__":
    main()
