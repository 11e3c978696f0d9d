"""Tables of papers: the commands from raw folders to scores, and the scores beside the published numbers."""
