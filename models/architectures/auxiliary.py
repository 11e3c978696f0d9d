"""A second, shallow head for DeepLabV3+ and PSPNet, which keeps gradients alive in the middle of deep encoders."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional as F

from models.spec import Heads

WIDTH = 256
DROPOUT = 0.1
STAGE = 4  # features of an encoder: 0 the input, 5 the deepest; 4 has stride 16 where the encoder is not dilated


class AuxiliaryHead(nn.Sequential):
    """Maps features (N, C, h, w) to logits (N, K, h, w) by one 3 x 3 convolution and a classifier."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(WIDTH, classes, 1),
        )


class _TwoHeads:
    """Turns a network of the library into one that returns `Heads` in training mode; its keys stay as they are."""

    encoder: nn.Module
    decoder: nn.Module
    segmentation_head: nn.Module
    training: bool

    def __init__(self, *, classes: int, **options: Any) -> None:
        super().__init__(classes=classes, **options)  # type: ignore[call-arg]  # of the library's class beside this
        channels = self.encoder.out_channels
        self.auxiliary_head = AuxiliaryHead(channels[STAGE], classes)  # type: ignore[index, arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor | Heads:
        """Return logits (N, K, S, S); in training mode those of both heads."""
        if not torch.compiler.is_compiling():
            self.check_input_shape(images)  # type: ignore[attr-defined]
        features = self.encoder(images)
        logits = self.segmentation_head(self.decoder(features))  # (N, K, S, S)
        if not self.training:
            return logits
        small = self.auxiliary_head(features[STAGE])
        return Heads(logits, F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False))


class DeepLabV3PlusAuxiliary(_TwoHeads, smp.DeepLabV3Plus):  # type: ignore[misc]
    """DeepLabV3+ (Chen et al. 2018) with an auxiliary head."""


class PSPNetAuxiliary(_TwoHeads, smp.PSPNet):  # type: ignore[misc]
    """PSPNet (Zhao et al. 2017) with its auxiliary head."""
