"""One consistent reading of a queue: model, reader, short history and histograms."""
