"""The prompt texts of an inspection, and the placeholders that each must have."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


def _placeholders(*required: str) -> AfterValidator:
    """Accepts a text that names each of ``required`` and nothing else in braces."""

    def check(text: str) -> str:
        try:
            found = {name for _, name, *_ in Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise ValueError(f"{error}; write a brace as {{{{ or }}}}") from error
        missing, unknown = sorted(set(required) - found), sorted(found - set(required))
        if missing:
            raise ValueError(f"lacks {', '.join(f'{{{name}}}' for name in missing)}")
        if unknown:
            valid = ", ".join(f"{{{name}}}" for name in required)
            raise ValueError(f"{{{unknown[0]}}} is no placeholder of this text; valid: {valid}")
        return text

    return AfterValidator(check)


class DenseTexts(BaseModel):
    """The texts that ask for all objects of a photo. ``user`` follows the photo."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Text
    user: Text


class StageATexts(BaseModel):
    """The texts that ask for one photo's line. ``user`` follows the photo and names mission and focus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Text
    user: Annotated[Text, _placeholders("mission", "focus")]


class StageBTexts(BaseModel):
    """The texts that ask for a ticket's verdict.

    ``user`` comes before the photos; ``summaries`` and ``guidance`` are the headings of the lines and the rules;
    ``question`` is the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Text
    user: Annotated[Text, _placeholders("mission", "focus", "requirement")]
    summaries: Text
    guidance: Text
    question: Text


class PromptTexts(BaseModel):
    """The texts of ``prompts.yaml``, by task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dense: DenseTexts
    stage_a: StageATexts
    stage_b: StageBTexts

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text, in the order of the file."""
        return tuple(text for task in self.model_dump().values() for text in task.values())
