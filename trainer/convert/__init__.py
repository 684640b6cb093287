"""Converts training configurations from and to ms-swift's arguments, and lists the keys that have no counterpart.

``convert`` takes a file of either kind; ``from_swift`` and ``to_swift`` take its contents.
"""

from trainer.convert.files import ConvertedFile, convert
from trainer.convert.from_swift import from_swift
from trainer.convert.result import Conversion, LostKey
from trainer.convert.to_swift import to_swift

__all__ = ["Conversion", "ConvertedFile", "LostKey", "convert", "from_swift", "to_swift"]
