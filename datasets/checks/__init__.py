"""Everything that is wrong with the data folders that configurations name."""
