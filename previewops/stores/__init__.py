"""Where bundles lie: the port ``BundleStore``, a folder of DATA_DIR, and objects in a bucket."""
