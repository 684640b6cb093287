"""Small photos of every awkward kind, made in memory."""

import io
import struct
import zlib

from PIL import Image, ImageDraw
from pillow_heif import register_heif_opener


def scene(size=(64, 48)) -> Image.Image:
    """A picture without symmetry, so that every orientation differs."""
    image = Image.new("RGB", size, (90, 120, 150))
    draw = ImageDraw.Draw(image)
    draw.rectangle((4, 4, size[0] // 2, size[1] // 4), fill=(200, 30, 30))
    draw.ellipse((size[0] // 2, size[1] // 2, size[0] - 6, size[1] - 6), fill=(30, 200, 60))
    return image


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(size=(64, 48), **options) -> bytes:
    return encoded(scene(size), "JPEG", quality=92, **options)


def oriented(orientation: int, kind: str = "PNG") -> bytes:
    """The scene stored turned, with the EXIF tag that turns it back (in HEIF with its own transformation)."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = scene()
    exif = image.getexif()
    exif[0x0112] = orientation
    if orientation in undo:
        image = image.transpose(undo[orientation])
    if kind == "HEIF":
        register_heif_opener()
        image.info["exif"] = exif.tobytes()
        return encoded(image, kind)
    return encoded(image, kind, exif=exif)


def huge_png(width=14000, height=12000) -> bytes:
    """A PNG of a few kilobytes that declares 168 megapixels."""
    rows = zlib.compress(bytes(height), 9)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def sixteen_bit() -> bytes:
    image = Image.new("I;16", (40, 30))
    image.putdata([(x % 40) * 1600 for x in range(1200)])
    return encoded(image, "PNG")


BAD = {
    "not-an-image": b"this is a text file\n" * 10,
    "empty": b"",
    "truncated-jpeg": jpeg((200, 150))[:-400],
    "truncated-png": encoded(scene())[:-30],
    "broken-png": encoded(scene())[:60] + b"\x00\x00" + encoded(scene())[62:],
    "truncated-webp": encoded(scene(), "WEBP")[:-20],
    "too-many-pixels": huge_png(),
    "animated-gif": animated("GIF"),
    "animated-webp": animated("WEBP"),
    "tiff": encoded(scene(), "TIFF"),
    "heif": b"\x00\x00\x00\x18ftypheic" + bytes(64),
    "film": b"\x00\x00\x00\x18ftypisom" + bytes(64),
    "sliver": encoded(Image.new("RGB", (2000, 8)), "PNG"),
    "header-only": b"\x89PNG\r\n\x1a\n",
    "jpeg-start": b"\xff\xd8\xff",
}
REASONS = {
    "not-an-image": "not-an-image",
    "empty": "empty",
    "truncated-jpeg": "truncated",
    "truncated-png": "truncated",
    "broken-png": "truncated",
    "truncated-webp": "truncated",
    "too-many-pixels": "too-many-pixels",
    "animated-gif": "unsupported-format",
    "animated-webp": "animated",
    "tiff": "unsupported-format",
    "heif": "truncated",
    "film": "unsupported-format",
    "sliver": "unusable-size",
    "header-only": "not-an-image",
    "jpeg-start": "not-an-image",
}
