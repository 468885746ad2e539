"""Where bundles lie: the port ``BundleStore``, and its implementation over a folder of DATA_DIR."""
