"""``make test-compose``: the compose file brought up for real, on a Docker daemon of its own, without pulling anything."""
