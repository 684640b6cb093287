"""Photo files that no camera wrote: small whole ones of every format and kind, and what random damage makes of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from random import Random

from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="8"/></x:xmpmeta>'
_INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xd9",
    b"\xff\xd8",
)


def whole_photos(*, heif: bool = True) -> dict[str, bytes]:
    """A whole photo of every format, colour mode and kind of metadata, by name. All are 40 × 24 px."""
    scene, metadata = _scene(), {"exif": _exif(6), "icc_profile": _profile()}
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "station " * 20, zip=True)
    text.add_itxt("XML:com.adobe.xmp", _XMP.decode())
    photos = {
        "jpeg": _encode(scene, "JPEG"),
        "jpeg progressive": _encode(scene, "JPEG", progressive=True, exif=_exif(3)),
        "jpeg grey": _encode(scene.convert("L"), "JPEG", exif=_exif(8)),
        "jpeg cmyk": _encode(scene.convert("CMYK"), "JPEG"),
        "jpeg metadata": _encode(scene, "JPEG", **metadata, xmp=_XMP, comment=b"BBU"),
        "jpeg two pictures": _encode(scene, "MPO", save_all=True, append_images=[scene], exif=_exif(6)),
        "png": _encode(scene, "PNG"),
        "png metadata": _encode(scene, "PNG", **metadata, pnginfo=text),
        "png palette": _encode(scene.convert("P"), "PNG", transparency=3),
        "png alpha": _encode(_translucent(scene), "PNG"),
        "png grey alpha": _encode(_translucent(scene).convert("LA"), "PNG", pnginfo=text),
        "png 16 bit": _encode(scene.convert("L").convert("I;16"), "PNG"),
        "png colour key": _encode(scene, "PNG", transparency=(90, 120, 150)),
        "png animated": _encode(scene, "PNG", save_all=True, append_images=[scene.rotate(180)]),
        "webp": _encode(scene, "WEBP"),
        "webp lossless": _encode(scene, "WEBP", lossless=True),
        "webp metadata": _encode(scene, "WEBP", **metadata, xmp=_XMP),
        "webp alpha": _encode(_translucent(scene), "WEBP"),
        "webp animated": _encode(scene, "WEBP", save_all=True, append_images=[scene.rotate(180)], duration=40),
        "avif": _encode(scene, "AVIF", exif=_exif(6), speed=10),
        "avif alpha": _encode(_translucent(scene), "AVIF", speed=10),
    }
    if heif:
        from pillow_heif import register_heif_opener

        register_heif_opener()
        photos["heic"] = _encode(scene, "HEIF")
        turned = scene.copy()
        turned.info["exif"] = _exif(6).tobytes()  # which the encoder writes as a transformation too
        photos["heic metadata"] = _encode(turned, "HEIF")
    return photos


def mutations(photos: dict[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """Endless damaged files, each with the name of the photo that it was; the same for the same seed."""
    rng, names = Random(seed), sorted(photos)
    while True:
        for name in names:
            data = bytearray(photos[name])
            for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
                _damage(data, rng, photos)
            if data.startswith(b"\x89PNG") and rng.random() < 0.7:
                repair_checksums(data)
            yield name, bytes(data)


def _damage(data: bytearray, rng: Random, photos: dict[str, bytes]) -> None:
    """One change. Half of them are in the first 200 bytes, where headers and metadata are."""
    at = rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data)) if data else 0
    match rng.randrange(8):
        case 0 | 1 if data:
            data[at] ^= 1 << rng.randrange(8)
        case 2 if data:
            data[at] = rng.randrange(256)
        case 3:
            value = rng.choice(_INTERESTING)
            data[at : at + len(value)] = value
        case 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 7, 64)))
        case 5:
            del data[at : at + rng.choice((1, 2, 7, 64))]
        case 6:
            del data[at : None if rng.random() < 0.3 else at + 1]
        case 7:
            other = photos[rng.choice(sorted(photos))]
            start = rng.randrange(len(other))
            data[at:at] = other[start : start + rng.choice((4, 40, 400))]


def repair_checksums(data: bytearray) -> None:
    """Gives every chunk of a PNG its right checksum, so that damage reaches what is behind the check."""
    position = 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if end > len(data):
            return
        data[end - 4 : end] = struct.pack(">L", zlib.crc32(data[position + 4 : end - 4]))
        position = end


def _scene() -> Image.Image:
    """A picture without symmetry."""
    image = Image.new("RGB", (40, 24), (90, 120, 150))
    draw = ImageDraw.Draw(image)
    draw.rectangle((2, 2, 18, 9), fill=(200, 30, 30))
    draw.ellipse((20, 10, 34, 20), fill=(30, 200, 60))
    return image


def _translucent(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = orientation, "Camera", 72.0
    exif.get_ifd(0x8769)[0x9003] = "2026:11:30 10:00:00"
    return exif


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
