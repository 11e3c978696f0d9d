"""What a run can be told: the schema of every key, and the YAML files."""
