"""What users call to train many networks, and the study that they get."""
