"""The service: domain (pure) > application (use cases) > adapters; the HTTP door and the commands onto the same use cases."""
