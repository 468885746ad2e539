"""Text: bidirectional order, segmentation, fonts, shaping, typesetting."""
