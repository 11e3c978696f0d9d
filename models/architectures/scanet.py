"""A face parser that runs in real time: spatial and channel attention over a dilated encoder, with an edge branch.

The encoder stops at stride 8, where two attentions look at the whole face: one relates places, one relates channels
(Fu et al. 2019). The decoder works at stride 4. A branch that learns the outlines between classes lends it its
features, which keeps thin parts apart.
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional as F

from models.spec import Heads

LOW_WIDTH = 48  # of the features at stride 4
EDGE_WIDTH = 32
QUERY_SHARE = 8  # queries and keys are so much narrower than values


class SpatialAttention(nn.Module):
    """Adds to every place a mixture of all places that look like it: (N, C, h, w) to the same shape.

    Source: Fu et al. 2019, position attention, with the usual scaling of dot products.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // QUERY_SHARE)
        self.query = nn.Conv2d(channels, narrow, 1)
        self.key = nn.Conv2d(channels, narrow, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `features` with what the attention adds."""
        query, key, value = (
            layer(features).flatten(2).transpose(1, 2).unsqueeze(1) for layer in (self.query, self.key, self.value)
        )  # (N, 1, h * w, C); ONNX wants the axis of heads
        mixed = F.scaled_dot_product_attention(query, key, value).squeeze(1).transpose(1, 2)  # (N, C, h * w)
        return features + self.share * mixed.reshape(features.shape)


class ChannelAttention(nn.Module):
    """Adds to every channel a mixture of all channels that look like it: (N, C, h, w) to the same shape.

    Source: Fu et al. 2019, channel attention, over the mean and not the sum of places, so that no size overflows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `features` with what the attention adds."""
        flat = features.flatten(2)  # (N, C, h * w)
        affinity = torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[-1]  # (N, C, C)
        mixed = torch.bmm(torch.softmax(affinity, dim=-1), flat)
        return features + self.share * mixed.reshape(features.shape)


class ScaNet(nn.Module):
    """Maps images (N, 3, S, S), S a multiple of 8, to logits (N, K, S, S).

    Args:
        encoder: name of an encoder of segmentation-models-pytorch that can be dilated, e.g. resnet18.
        width: channels of the attention and of the decoder.
        classes: K.
        encoder_weights: name of weights that the library downloads; None: random.
    """

    def __init__(self, *, encoder: str, width: int, classes: int, encoder_weights: str | None = None) -> None:
        super().__init__()
        self.encoder = smp.encoders.get_encoder(encoder, weights=encoder_weights, output_stride=8)
        _, _, low, middle, _, deep = self.encoder.out_channels
        self.reduce = _convolution(deep, width, 3)
        self.spatial, self.channel = SpatialAttention(width), ChannelAttention()
        self.spatial_out, self.channel_out = _convolution(width, width, 3), _convolution(width, width, 3)
        self.low = _convolution(low, LOW_WIDTH, 1)
        self.edge_low, self.edge_middle = _convolution(low, EDGE_WIDTH, 3), _convolution(middle, EDGE_WIDTH, 3)
        self.edge_head = nn.Conv2d(2 * EDGE_WIDTH, 1, 1)
        self.decoder = nn.Sequential(
            _convolution(width + LOW_WIDTH + 2 * EDGE_WIDTH, width, 3), nn.Dropout2d(0.1), _convolution(width, width, 3)
        )
        self.segmentation_head = nn.Conv2d(width, classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor | Heads:
        """Return logits (N, K, S, S); in training mode with those of the outlines."""
        _, _, low, middle, _, deep = self.encoder(images)
        reduced = self.reduce(deep)  # (N, width, S / 8, S / 8)
        attended = self.spatial_out(self.spatial(reduced)) + self.channel_out(self.channel(reduced))
        size = low.shape[-2:]
        edges = torch.cat([self.edge_low(low), _resize(self.edge_middle(middle), size)], dim=1)  # stride 4
        fused = self.decoder(torch.cat([_resize(attended, size), self.low(low), edges], dim=1))
        logits = _resize(self.segmentation_head(fused), images.shape[-2:])  # (N, K, S, S)
        if not self.training:
            return logits
        return Heads(logits, edges=_resize(self.edge_head(edges), images.shape[-2:]))


def _convolution(in_channels: int, out_channels: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _resize(features: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)
