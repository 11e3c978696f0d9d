"""Glasses drawn by code: outlines in millimetres, a camera fitted to the landmarks, and the painting."""
