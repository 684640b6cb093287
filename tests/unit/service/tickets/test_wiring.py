"""How submitted tickets are sampled: as the loop that calibrated their thresholds."""

from pathlib import Path

from service.judging.sampler import EvidenceKind
from service.learning.config import load_config
from service.platform.settings import Settings
from service.tickets.wiring import sampling_of

CONFIG = Path(__file__).parents[4] / "configs" / "stage_b_training_free.yaml"


def test_without_a_setting_tickets_are_sampled_as_the_shipped_configuration_says():
    samplers, evidence = sampling_of(Settings(engine="scripted"))
    assert samplers[evidence].digest == load_config(CONFIG).sampler_of().digest


def test_a_configuration_of_ones_own_holds_online_too(tmp_path):
    own = tmp_path / "own.yaml"
    text = CONFIG.read_text("utf-8").replace("evidence: summaries", "evidence: both")
    own.write_text(f"{text}\nsampler: {{grid: [{{temperature: 0.5, seed: 1}}], adaptive: null}}\n", "utf-8")
    samplers, evidence = sampling_of(Settings(engine="scripted", stage_b_config=own))
    assert evidence is EvidenceKind.BOTH
    assert samplers[evidence].digest == load_config(own).sampler_of().digest
    assert {sampler.evidence for sampler in samplers.values()} == set(EvidenceKind)
