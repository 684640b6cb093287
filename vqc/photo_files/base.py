"""What every format of photo answers about its bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vqc.geometry import SizeWH


class BrokenFile(ValueError):
    """The structure of a file is incomplete or contradicts itself. ``begun`` is false if not even its header is there."""

    def __init__(self, message: str, *, begun: bool = True) -> None:
        super().__init__(message)
        self.begun = begun


class PhotoFile(ABC):
    """One encoded photo. Every method raises ``BrokenFile`` and no other error, whatever the bytes are.

    ``format`` is Pillow's name. ``tidy`` is false if parts of the file are where Pillow's header read does not see them.
    """

    format: ClassVar[str]
    media_type: ClassVar[str]
    needs_decoding: bool = True
    """Whether only decoding all of it shows that the pixels can be read."""
    tidy: bool = True
    plain: bool = False
    """Whether it is known to hold no metadata at all, so that Pillow reads the file as it reads ``head``."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @classmethod
    @abstractmethod
    def matches(cls, start: bytes) -> bool:
        """Whether a file that starts with these (at least 64, if it has them) bytes claims this format."""

    @property
    @abstractmethod
    def size_wh(self) -> SizeWH | None:
        """Stored width and height in px, before any orientation; None where only the decoding library knows."""

    @property
    @abstractmethod
    def orientation(self) -> int | None:
        """The EXIF orientation, 1 to 8; 1 if the file names none that is valid; None where only the library knows."""

    @abstractmethod
    def head(self) -> bytes:
        """A file of the same mode for reading the header; of the same size too, unless ``size_wh`` is known."""

    @abstractmethod
    def check(self) -> None:
        """Raises ``BrokenFile`` if the file is incomplete or damaged, as far as its structure shows."""

    def skeleton(self) -> bytes | None:
        """A small file that decodes if and only if the whole one does, where ``needs_decoding`` is false.

        None if ``head`` is that file.
        """
        return None

    @abstractmethod
    def bare(self, orientation: int = 1) -> bytes:
        """The file without metadata: the same pixels, never more bytes; an orientation other than 1 is kept."""
