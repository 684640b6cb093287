"""HTTP that every route shares: gate, keys, problems, bodies, server-sent events."""
