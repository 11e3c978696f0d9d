from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from occlusion_gen.blending.smooth import smooth


@pytest.mark.parametrize("sigma_px", [0.3, 0.5, 0.77, 1.0, 1.54, 2.0, 6.0])
def test_it_is_the_gaussian_that_it_says(sigma_px: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    expected = cv2.GaussianBlur(image.astype(np.float64), (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    assert abs(smooth(image, sigma_px) - expected).max() <= 3
    assert abs(smooth(image, sigma_px) - expected).mean() < 0.6
    assert abs(smooth(image.astype(np.float32), sigma_px) - expected).max() <= 3


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_what_is_constant_stays_so(value: int) -> None:
    for size in ((1, 1), (1, 9), (17, 4)):
        image = np.full(size, value, np.uint8)
        for sigma_px in np.linspace(0.3, 4, 60):
            assert_array_equal(smooth(image, float(sigma_px)), image)
