"""Ground floor: one noun a file. Imports third-party packages only and knows no stage."""
