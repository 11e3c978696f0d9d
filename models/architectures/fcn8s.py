"""FCN-8s on VGG-16, trained "at once": the network of Nirkin et al. 2018, layer by layer as in Caffe.

Source: Shelhamer, Long, Darrell 2017, the variant that scales the skips so that all three strides learn together.
Layers carry Caffe's names, so that published weights load by name.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DEEP_WIDTH = 4096
FIRST_PADDING_PX = 100  # makes room for the 7 x 7 kernel of fc6 on images of any size
POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001
POOL4_CROP_PX, POOL3_CROP_PX, SCORE_CROP_PX = 5, 9, 31


class Vgg16Encoder(nn.Module):
    """VGG-16 up to fc7: (N, 3, H, W) to the features of pool3, pool4 and fc7.

    Args:
        deep_width: channels of fc6 and fc7.
    """

    def __init__(self, deep_width: int = DEEP_WIDTH) -> None:
        super().__init__()
        width = 3
        for block, widths in enumerate(VGG_WIDTHS, 1):
            for index, channels in enumerate(widths, 1):
                padding = FIRST_PADDING_PX if (block, index) == (1, 1) else 1
                self.add_module(f"conv{block}_{index}", nn.Conv2d(width, channels, 3, padding=padding))
                width = channels
        self.fc6 = nn.Conv2d(width, deep_width, 7)
        self.fc7 = nn.Conv2d(deep_width, deep_width, 1)
        self.pool = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the features of pool3 (N, 256, ...), pool4 (N, 512, ...) and fc7 (N, 4096, ...)."""
        features, pools = images, []
        for block, widths in enumerate(VGG_WIDTHS, 1):
            for index in range(1, len(widths) + 1):
                features = self.relu(self.get_submodule(f"conv{block}_{index}")(features))
            features = self.pool(features)
            pools.append(features)
        features = self.dropout(self.relu(self.fc6(features)))
        return pools[2], pools[3], self.dropout(self.relu(self.fc7(features)))


class FCN8s(nn.Module):
    """Maps images (N, 3, H, W) of any size to logits (N, K, H, W).

    Args:
        classes: K, 2 or 21 in the published networks.
        deep_width: channels of fc6 and fc7.

    Attributes:
        encoder: VGG-16 up to fc7.
        upscore2, upscore_pool4, upscore8: bilinear enlargement, fixed; kept as weights because Caffe's files hold them.
    """

    def __init__(self, classes: int, deep_width: int = DEEP_WIDTH) -> None:
        super().__init__()
        self.encoder = Vgg16Encoder(deep_width)
        self.score_fr = nn.Conv2d(deep_width, classes, 1)
        self.score_pool4 = nn.Conv2d(512, classes, 1)
        self.score_pool3 = nn.Conv2d(256, classes, 1)
        self.upscore2 = bilinear_deconvolution(classes, factor=2)
        self.upscore_pool4 = bilinear_deconvolution(classes, factor=2)
        self.upscore8 = bilinear_deconvolution(classes, factor=8)
        for score in (self.score_fr, self.score_pool4, self.score_pool3):
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, K, H, W)."""
        pool3, pool4, deep = self.encoder(images)
        scores = self.upscore2(self.score_fr(deep))  # stride 16
        scores = scores + _crop(self.score_pool4(pool4 * POOL4_SCALE), POOL4_CROP_PX, scores)
        scores = self.upscore_pool4(scores)  # stride 8
        scores = scores + _crop(self.score_pool3(pool3 * POOL3_SCALE), POOL3_CROP_PX, scores)
        return _crop(self.upscore8(scores), SCORE_CROP_PX, images).contiguous()


def bilinear_deconvolution(channels: int, *, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that enlarges each channel bilinearly and does not learn."""
    side = 2 * factor
    position = (torch.arange(side, dtype=torch.float32) - (side - 1) / 2).abs()
    ramp = 1 - position / factor
    layer = nn.ConvTranspose2d(channels, channels, side, stride=factor, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = ramp[:, None] * ramp[None, :]
    return layer.requires_grad_(False)


def from_torchvision(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict of `Vgg16Encoder` for one of torchvision's vgg16, whose linear layers become convolutions."""
    names = [f"conv{block}_{index + 1}" for block, widths in enumerate(VGG_WIDTHS, 1) for index in range(len(widths))]
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith("features.")})
    renamed: dict[str, torch.Tensor] = OrderedDict()
    for number, name in zip(numbers, names, strict=True):
        for part in ("weight", "bias"):
            renamed[f"{name}.{part}"] = state[f"features.{number}.{part}"]
    for number, (name, side) in {0: ("fc6", 7), 3: ("fc7", 1)}.items():
        weight = state[f"classifier.{number}.weight"]
        renamed[f"{name}.weight"] = weight.reshape(len(weight), -1, side, side)
        renamed[f"{name}.bias"] = state[f"classifier.{number}.bias"]
    return renamed


def _crop(scores: torch.Tensor, offset_px: int, like: torch.Tensor) -> torch.Tensor:
    height, width = like.shape[-2:]
    return scores[..., offset_px : offset_px + height, offset_px : offset_px + width]
