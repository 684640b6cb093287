"""A run that is kept in memory: the loop's journal and artifacts."""

from dataclasses import dataclass, field


@dataclass
class MemoryRun:
    """What a run folder would hold, as lists."""

    kept: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)
    trajectories: list = field(default_factory=list)
    selections: list = field(default_factory=list)
    reflections: list = field(default_factory=list)
    versions: list = field(default_factory=list)

    def rollouts(self, key):
        return self.kept.get(key, [])

    def keep_rollouts(self, key, records):
        self.kept.setdefault(key, []).extend(records)

    def answer(self, key):
        return self.answers.get(key)

    def keep_answer(self, key, text):
        self.answers[key] = text

    def trajectory(self, mission, record):
        self.trajectories.append(record)

    def selection(self, mission, record):
        self.selections.append(record)

    def reflection(self, mission, record):
        self.reflections.append(record)

    def guidance(self, mission, before, after, note):
        self.versions.append((before, after))
