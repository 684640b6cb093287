"""What all routes share: gate, keys, problems, bodies, server-sent events."""
