"""Our Grafana dashboards as code: ``python -m deploy.grafana.generate`` writes ``dashboards/``, which are provisioned."""
