"""The chart as Helm itself renders it (Helm's Go library), and how its objects are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

CHART = Path(__file__).parents[3] / "deploy" / "helm" / "vqc"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = "1.35"
CUSTOM = {"keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": prometheus_operator}
Manifest = dict[str, Any]


def values_of(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def rendered(values: dict[str, Any]) -> list[Manifest]:
    """The objects of release ``site``. Helm refuses values that the chart's schema does not allow."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="site", namespace="vqc")
    templates = [text for name, text in files.items() if name.endswith(".yaml")]
    return [found for text in templates for found in yaml.safe_load_all(text) if found]


def check(manifest: Manifest) -> None:
    """Raises where Kubernetes, KEDA or the Prometheus operator would not take the object or would not know a field."""
    if custom := CUSTOM.get(manifest["apiVersion"]):
        kept = getattr(custom, manifest["kind"]).model_validate(manifest)
        known = kept.model_dump(by_alias=True, exclude_unset=True, mode="json")
        assert known == manifest, f"{manifest['kind']} does not know all of {manifest['spec']}"
    else:
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise AssertionError(f"{'.'.join(map(str, error.path))}: {error.message}") from None


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == f"site-{name}"]
    return found


def pod(manifests: list[Manifest], name: str) -> Manifest:
    """The pod template's spec of a Deployment."""
    return one(manifests, "Deployment", name)["spec"]["template"]["spec"]


def variables(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}
