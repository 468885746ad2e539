"""Bundles in an object store: S3 and compatible services, Google Cloud Storage, Azure Blob Storage.

Per job there is one object that is ever replaced, the pointer; everything else is written once::

    previews/<projectId>/<jobId>.json               the pointer: fencing token, prefix and digest of the bundle
    previews/<projectId>/<jobId>/<attempt>/…        the files of one attempt

One more object, ``id``, has a random number that identifies the store, whatever address leads to it.

An attempt uploads its files below a prefix of its own, then replaces the pointer on the condition that it is still
the one that it has read. So fence and publication are one object. Readers resolve the pointer first.
"""
