"""The structure of encoded photos: which bytes make the pixels, and which only describe them.

Pixels are always decoded from a copy without metadata, so broken metadata never costs a whole picture, and every reader
(trainer, service, commands) sees the same photo. Nothing here decodes a photo's pixels.
"""

from vqc.photo_files.base import BrokenFile, PhotoFile
from vqc.photo_files.heif import AvifFile, HeifFile
from vqc.photo_files.jpeg import JpegFile
from vqc.photo_files.png import PngFile
from vqc.photo_files.webp import WebpFile

FORMATS: tuple[type[PhotoFile], ...] = (JpegFile, PngFile, WebpFile, AvifFile, HeifFile)
"""Every accepted format. The first whose ``matches`` is true reads the file."""

__all__ = ["FORMATS", "BrokenFile", "PhotoFile"]
