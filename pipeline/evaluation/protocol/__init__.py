"""The protocol: from predictions and annotated images to the scores of a network."""
