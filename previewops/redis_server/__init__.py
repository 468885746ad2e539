"""Redis itself: connections and their errors, the private server of ``previewops up``, its binary."""
