"""HTTP/1.1 of the load generator: requests as ready bytes, and connections."""
