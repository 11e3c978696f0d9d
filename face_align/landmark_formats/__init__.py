"""Landmarks as they come: one reader a published format, told by suffix and shape."""

from face_align.landmark_formats.jsonl import read_landmarks_jsonl, write_landmarks_jsonl
from face_align.landmark_formats.record import LandmarkError, LandmarkRecord, LandmarkSource
from face_align.landmark_formats.source import open_landmarks, read_landmark_file

__all__ = [
    "LandmarkError",
    "LandmarkRecord",
    "LandmarkSource",
    "open_landmarks",
    "read_landmark_file",
    "read_landmarks_jsonl",
    "write_landmarks_jsonl",
]
