"""Training configurations from and to ms-swift's command-line arguments, with a list of what the other side lacks.

``convert`` takes a file of either side; ``from_swift`` and ``to_swift`` take what such files hold.
"""

from trainer.convert.files import ConvertedFile, convert
from trainer.convert.from_swift import from_swift
from trainer.convert.result import Conversion, Lost
from trainer.convert.to_swift import to_swift

__all__ = ["Conversion", "ConvertedFile", "Lost", "convert", "from_swift", "to_swift"]
