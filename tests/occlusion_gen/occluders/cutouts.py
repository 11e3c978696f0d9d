"""Cut-outs that tests write."""

from __future__ import annotations

import numpy as np

WHITE = np.full((30, 20, 4), 255, np.uint8)
WINDOW = np.pad(WHITE, ((1, 1), (1, 1), (0, 0)))  # white with a transparent rim
