"""Section ``custom.augmentation``: the operations and their typed parameters.

``trainer.augmentation`` implements the operations. A new one needs parameters and an entry here, and its effect there.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.config.section import Positive, Probability, Range, Section

PositiveFloat = Annotated[float, Field(gt=0)]


class OpParams(Section):
    """Parameters of an operation. Every ``[low, high]`` among them must have low <= high."""

    @model_validator(mode="after")
    def _ranges_in_order(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) == 2 and value[0] > value[1]:
                raise ValueError(f"{name} is {list(value)!r}; a range is [low, high] with low <= high")
        return self


class FactorParams(OpParams):
    """Parameters of an operation with a random factor between ``lo`` and ``hi``."""

    lo: PositiveFloat = Field(description="Smallest factor.")
    hi: PositiveFloat = Field(description="Largest factor.")

    @model_validator(mode="after")
    def _lo_below_hi(self) -> Self:
        if self.lo > self.hi:
            raise ValueError(f"lo is {self.lo!r} and hi is {self.hi!r}; lo must not exceed hi")
        return self


class HFlipParams(OpParams):
    """Mirror left and right."""

    prob: Probability = Field(default=0.5, description="Probability per sample.")


class VFlipParams(OpParams):
    """Mirror top and bottom."""

    prob: Probability = Field(default=0.1, description="Probability per sample.")


class RotateParams(OpParams):
    """Rotate about the centre."""

    max_deg: Annotated[float, Field(ge=0, le=180)] = Field(
        default=10.0, description="Largest angle in either direction, degrees."
    )
    prob: Probability = Field(default=0.5, description="Probability per sample.")


class ScaleParams(FactorParams):
    """Zoom about the centre on an unchanged canvas."""

    lo: PositiveFloat = Field(default=0.9, description="Smallest factor.")
    hi: PositiveFloat = Field(default=1.1, description="Largest factor; above 1 the border is cut off.")
    prob: Probability = Field(default=0.5, description="Probability per sample.")


class ExpandParams(OpParams):
    """Enlarge the canvas so that rotated or scaled content is not cut off."""

    multiple: Positive = Field(default=32, description="Width and height become multiples of this, px.")
    max_pixels: Positive = Field(
        default=921_600, description="Largest canvas, pixels; above it everything is scaled down."
    )


class PadParams(OpParams):
    """Pad right and bottom with grey."""

    multiple: Positive = Field(default=32, description="Width and height become multiples of this, px.")


class ResizeParams(FactorParams):
    """Resize photo and labels."""

    lo: PositiveFloat = Field(default=0.8, description="Smallest factor.")
    hi: PositiveFloat = Field(default=1.2, description="Largest factor.")
    scales: Annotated[tuple[PositiveFloat, ...], Field(strict=False)] | None = Field(
        default=None, description="Factors to choose from; replaces lo and hi."
    )
    align_multiple: Positive | None = Field(
        default=32, description="Round width and height up to a multiple of this, px."
    )
    prob: Probability = Field(default=1.0, description="Probability per sample.")


class CropParams(OpParams):
    """Cut out a random window and drop objects that are hardly visible in it."""

    scale: Range = Field(default=(0.6, 1.0), description="Share of the photo's area.")
    aspect: Range = Field(default=(0.8, 1.2), description="Factor on the photo's aspect ratio (width / height).")
    min_coverage: Probability = Field(
        default=0.3, description="An object is kept when at least this share of it is inside the window."
    )
    completeness_threshold: Probability = Field(
        default=0.95, description="Below this share, 显示完整 becomes 只显示部分 in the object's description."
    )
    min_objects: Annotated[int, Field(ge=0)] = Field(
        default=4, description="Crop only if at least this many objects are kept."
    )
    skip_if_line: bool = Field(default=True, description="Do not crop when a line is inside the window.")
    prob: Probability = Field(default=1.0, description="Probability per sample.")


class JitterParams(OpParams):
    """Brightness, contrast and saturation."""

    brightness: Range = Field(default=(0.7, 1.3), description="Factor.")
    contrast: Range = Field(default=(0.7, 1.3), description="Factor.")
    saturation: Range = Field(default=(0.7, 1.3), description="Factor.")
    prob: Probability = Field(default=1.0, description="Probability per sample.")


class GammaParams(OpParams):
    """gain · value^gamma, on values of 0 to 1."""

    gamma: Range = Field(default=(0.7, 1.4), description="Exponent.")
    gain: PositiveFloat = Field(default=1.0, description="Factor.")
    prob: Probability = Field(default=1.0, description="Probability per sample.")


class HsvParams(OpParams):
    """Hue, saturation and value."""

    hue_delta_deg: Range = Field(default=(-20.0, 20.0), description="Added to the hue, degrees.")
    sat: Range = Field(default=(0.7, 1.4), description="Factor on the saturation.")
    val: Range = Field(default=(0.7, 1.4), description="Factor on the value.")
    prob: Probability = Field(default=1.0, description="Probability per sample.")


class ClaheParams(OpParams):
    """Adaptive histogram equalisation of the lightness."""

    clip_limit: PositiveFloat = Field(default=3.0, description="Contrast limit.")
    tile_grid_size: Annotated[tuple[Positive, Positive], Field(strict=False)] = Field(
        default=(8, 8), description="Tiles across and down."
    )
    prob: Probability = Field(default=0.5, description="Probability per sample.")


class AutoContrastParams(OpParams):
    """Stretch each channel to the full range."""

    cutoff: Annotated[float, Field(ge=0, lt=50)] = Field(default=0.0, description="Percent ignored at each end.")
    prob: Probability = Field(default=0.5, description="Probability per sample.")


class SolarizeParams(OpParams):
    """Invert values above a threshold."""

    threshold: Annotated[int, Field(ge=0, le=255)] = Field(default=128, description="Grey level, 0 to 255.")
    prob: Probability = Field(default=0.3, description="Probability per sample.")


class PosterizeParams(OpParams):
    """Keep the highest bits of each channel."""

    bits: Annotated[int, Field(ge=1, le=8)] = Field(default=4, description="Bits kept.")
    prob: Probability = Field(default=0.3, description="Probability per sample.")


class SharpnessParams(OpParams):
    """Blur below 1, sharpen above."""

    factor: Range = Field(default=(0.5, 1.8), description="Factor.")
    prob: Probability = Field(default=0.4, description="Probability per sample.")


class HFlipOp(Section):
    """hflip."""

    name: Literal["hflip"]
    params: HFlipParams = HFlipParams()


class VFlipOp(Section):
    """vflip."""

    name: Literal["vflip"]
    params: VFlipParams = VFlipParams()


class RotateOp(Section):
    """rotate."""

    name: Literal["rotate"]
    params: RotateParams = RotateParams()


class ScaleOp(Section):
    """scale."""

    name: Literal["scale"]
    params: ScaleParams = ScaleParams()


class ExpandOp(Section):
    """expand_to_fit_affine."""

    name: Literal["expand_to_fit_affine"]
    params: ExpandParams = ExpandParams()


class PadOp(Section):
    """pad_to_multiple."""

    name: Literal["pad_to_multiple"]
    params: PadParams = PadParams()


class ResizeOp(Section):
    """resize_by_scale."""

    name: Literal["resize_by_scale"]
    params: ResizeParams = ResizeParams()


class CropOp(Section):
    """random_crop."""

    name: Literal["random_crop"]
    params: CropParams = CropParams()


class JitterOp(Section):
    """color_jitter."""

    name: Literal["color_jitter"]
    params: JitterParams = JitterParams()


class GammaOp(Section):
    """gamma."""

    name: Literal["gamma"]
    params: GammaParams = GammaParams()


class HsvOp(Section):
    """hsv."""

    name: Literal["hsv"]
    params: HsvParams = HsvParams()


class ClaheOp(Section):
    """clahe."""

    name: Literal["clahe"]
    params: ClaheParams = ClaheParams()


class AutoContrastOp(Section):
    """auto_contrast."""

    name: Literal["auto_contrast"]
    params: AutoContrastParams = AutoContrastParams()


class SolarizeOp(Section):
    """solarize."""

    name: Literal["solarize"]
    params: SolarizeParams = SolarizeParams()


class PosterizeOp(Section):
    """posterize."""

    name: Literal["posterize"]
    params: PosterizeParams = PosterizeParams()


class SharpnessOp(Section):
    """sharpness."""

    name: Literal["sharpness"]
    params: SharpnessParams = SharpnessParams()


OpConfig = (
    HFlipOp | VFlipOp | RotateOp | ScaleOp | ExpandOp | PadOp | ResizeOp | CropOp | JitterOp | GammaOp | HsvOp | ClaheOp
    | AutoContrastOp | SolarizeOp | PosterizeOp | SharpnessOp
)  # fmt: skip


class AugmentationSection(Section):
    """Random changes of photo and labels during training; evaluation data is never augmented."""

    enabled: bool = Field(default=True, description="Whether the operations are applied.")
    bypass_prob: Probability | None = Field(
        default=None, description="Probability that a sample is not augmented; default custom.bypass_prob."
    )
    ops: Annotated[tuple[Annotated[OpConfig, Field(discriminator="name")], ...], Field(strict=False)] = Field(
        default=(), description="Operations in order, each `{name: …, params: {…}}`; colours are always applied last."
    )
