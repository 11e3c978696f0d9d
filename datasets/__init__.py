"""Published layouts on disk, read as records and samples."""
