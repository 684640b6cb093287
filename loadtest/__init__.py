"""Load generator and benchmarks: start or find a server, send load to it, print a table or JSON."""
