"""Training data: records, their validation, and samples that are reproducible by (seed, epoch, index). Imports no torch."""

from trainer.data.dataset import SampleDataset, dataset_from_config
from trainer.data.example import Example, Outline, conversation_text
from trainer.data.parse import parse_record
from trainer.data.problems import DataError, RecordProblem, RecordRule, Severity
from trainer.data.records import ChatRecord, PhotoRecord, Record, Task, VerdictRecord
from trainer.data.synthetic import draw_data
from trainer.data.validate import DataReport, validate

__all__ = [
    "ChatRecord",
    "DataError",
    "DataReport",
    "Example",
    "Outline",
    "PhotoRecord",
    "Record",
    "RecordProblem",
    "RecordRule",
    "SampleDataset",
    "Severity",
    "Task",
    "VerdictRecord",
    "conversation_text",
    "dataset_from_config",
    "draw_data",
    "parse_record",
    "validate",
]
