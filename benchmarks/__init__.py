"""Speed, measured side by side with the floor: the bare decoding, encoding or network time of the same files."""
