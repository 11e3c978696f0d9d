"""Prediction: photo to masks in memory, against the bare network on the same crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Measurement, measure
from benchmarks.world import World
from common.geometry import apply_to_image
from common.image_io import read_image
from face_align.crop import photo_to_crop
from face_align.landmarks import five_points, read_landmarks
from inference.photo_masks import predict_photo
from models.network import NetworkSpec, make_network
from models.predictor import CropPredictor
from models.weights import Card, Preprocessing

SIZE = 256


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return the speed of reading, cropping, predicting and un-warping single photos with a random U-Net."""
    spec = NetworkSpec("unet", "mobilenet_v2", (256, 128, 64, 32, 16), ("visible", "full"))
    card = Card(spec, Preprocessing(SIZE, "pos3d", "faceocc256"))
    predictor = CropPredictor(make_network(spec), card, device="cpu")
    records = world.records(n)
    matrices = [
        photo_to_crop(
            five_points(read_landmarks(record.landmarks)),
            photo_size=read_image(record.image).shape[:2],
            method="pos3d",
            size=SIZE,
        )
        for record in records
    ]
    crops = [
        np.ascontiguousarray(apply_to_image(matrix, read_image(record.image), size=(SIZE, SIZE))[None])
        for matrix, record in zip(matrices, records, strict=True)
    ]

    def job(index: int) -> None:
        predict_photo(predictor, read_image(records[index].image), matrices[index])

    def floor(index: int) -> None:
        predictor.predict_crops(crops[index])

    threads = torch.get_num_threads()
    case = f"U-Net MobileNetV2, {SIZE} px, batch 1"
    return [measure(bench="infer", case=case, job=job, floor=floor, n=len(records), threads=threads)]
