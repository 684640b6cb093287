"""The service, one folder per capability: its rules, stores, routes, metrics and wiring."""
