"""The metrics of the process in one registry, and the page that Prometheus scrapes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from engine.protocol import Health
from service.models.metrics import ModelMetrics
from service.photos.metrics import PhotoMetrics
from service.platform.admission import AdmissionControl
from service.platform.metrics import MetricFactory
from service.platform.version import VERSION
from service.web.metrics import HttpMetrics


class Metrics:
    """What each capability records. ``registry`` is where tickets add their own."""

    def __init__(self, admission: AdmissionControl) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        factory = MetricFactory(self.registry)
        factory.gauge("vqc_build_info", "The version of this process; always 1.", "version").labels(VERSION).set(1)
        self.http = HttpMetrics(factory, admission)
        self.photos = PhotoMetrics(factory)
        self.models = ModelMetrics(factory)

    def page(self, health: Health, accept: str) -> tuple[bytes, str]:
        """The scrape page and its content type: OpenMetrics with exemplars if ``accept`` has it."""
        self.models.update_engine(health)
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
