"""The trainer's configuration: a strict, frozen schema that loads without torch.

``load_config(path, base)`` reads YAML with ``extends``; ``resolved_yaml`` writes the result back; ``notes`` lists keys
that are accepted but have no effect; ``documented_keys`` lists every key for the documentation.
"""

from trainer.config.augmentation import AugmentationSection, OpConfig
from trainer.config.checks import notes
from trainer.config.data import CustomSection, DataSection, DeepspeedSection, PromptsSection, SceneSet, ScenesSection
from trainer.config.distillation import RlhfSection, VisualKdSection
from trainer.config.document import KeyDoc, documented_keys
from trainer.config.errors import ConfigError, ConfigProblem
from trainer.config.load import config_from, load_config, resolved_yaml
from trainer.config.model import TINY, ModelSection, TemplateSection
from trainer.config.root import TrainConfig
from trainer.config.training import SchedulerKwargs, TrainingSection
from trainer.config.tuner import TunerSection

__all__ = [
    "TINY",
    "AugmentationSection",
    "ConfigError",
    "ConfigProblem",
    "CustomSection",
    "DataSection",
    "DeepspeedSection",
    "KeyDoc",
    "ModelSection",
    "OpConfig",
    "PromptsSection",
    "RlhfSection",
    "SceneSet",
    "ScenesSection",
    "SchedulerKwargs",
    "TemplateSection",
    "TrainConfig",
    "TrainingSection",
    "TunerSection",
    "VisualKdSection",
    "config_from",
    "documented_keys",
    "load_config",
    "notes",
    "resolved_yaml",
]
