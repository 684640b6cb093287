"""HTTP/1.1 as the load generator speaks it: requests and connections."""
