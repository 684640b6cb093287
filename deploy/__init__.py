"""How the product is deployed: images, compose files, chart, dashboards and the demonstration."""
