"""Measures the product from outside: starts or finds what is measured, loads it, prints a table or JSON."""
