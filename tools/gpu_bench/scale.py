"""How much the benchmark measures: on a GPU, and in a dry run on a CPU, which proves that every step works."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.load.scenario import Photos


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchScale:
    """Numbers of clients per part, the highest first; lengths of windows; sizes of the parts without load.

    ``least_s`` is the time below which no engine is started. ``malformed_too`` counts texts that do not parse as problems.
    """

    photos: Photos
    caption_tokens: int
    pair_clients: tuple[int, ...]
    draft_clients: tuple[int, ...]
    more_clients: tuple[int, ...]
    ticket_clients: tuple[int, ...]
    window_s: float
    profile_s: int
    least_s: float
    malformed_too: bool
    same_photos: int
    quality_scenes: int
    quality_workers: int
    demo_args: tuple[str, ...]
    transformers_args: tuple[str, ...]

    @property
    def most_clients(self) -> int:
        """The number of clients that the ratios are about."""
        return self.pair_clients[0]


GPU = BenchScale(
    photos=Photos(),
    caption_tokens=256,
    pair_clients=(240, 16, 1),
    draft_clients=(240, 64, 16, 1),
    more_clients=(64,),
    ticket_clients=(128, 64, 16),
    window_s=9.0,
    profile_s=6,
    least_s=60.0,
    malformed_too=False,
    same_photos=48,
    quality_scenes=200,
    quality_workers=12,
    demo_args=(
        "--enforce-eager",
        "--api-server-count",
        "2",
    ),  # starts fast; no part measures the speed of the demo model
    transformers_args=(),
)

DRY_RUN = BenchScale(
    photos=Photos(width=256, height=192, drawn=8),
    caption_tokens=64,
    pair_clients=(4, 1),
    draft_clients=(2, 1),
    more_clients=(2,),
    ticket_clients=(2,),
    window_s=2.0,
    profile_s=2,
    least_s=20.0,
    malformed_too=True,
    same_photos=2,
    quality_scenes=4,
    quality_workers=2,
    demo_args=(),
    transformers_args=("--batch", "2", "--seconds", "2", "--new-tokens", "8", "--size", "256", "192"),
)
