"""Files of attempts that were never published, or replaced without being swept: their processes have ended."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from previewops.errors import StoreUnavailable
from previewops.stores.objects.client import ConditionFailed, ObjectStoreFailure
from previewops.stores.objects.layout import PREVIEWS
from previewops.stores.objects.pointer import REMOVED, Pointer, is_leftover, token_of
from previewops.stores.objects.publisher import Publisher


@dataclass(slots=True)
class _Prefix:
    size_bytes: int = 0
    modified_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Prefixes that belong to no bundle: their number and size in bytes."""

    publisher: Publisher
    sizes: dict[str, int]

    @classmethod
    def find(cls, publisher: Publisher, *, before_s: float) -> Leftovers:
        """Lists all files, and reads the pointers of jobs with prefixes last written before ``before_s``."""
        jobs: dict[str, dict[str, _Prefix]] = defaultdict(lambda: defaultdict(_Prefix))
        for listed in publisher.client.list_all(PREVIEWS):
            parts = listed.path.split("/")
            if len(parts) < 5:  # a pointer
                continue
            prefix = jobs["/".join(parts[:3])][parts[3]]
            prefix.size_bytes += listed.size
            prefix.modified_s = max(prefix.modified_s, listed.modified_s)
        sizes = {}
        for folder, prefixes in jobs.items():
            old = {name: prefix for name, prefix in prefixes.items() if prefix.modified_s < before_s}
            current = publisher.read_pointer(folder)[0] if old else None
            for name, prefix in old.items():
                if is_leftover(current, name):
                    sizes[f"{folder}/{name}"] = prefix.size_bytes
        return cls(publisher, sizes)

    def remove(self) -> int:
        """Removes them; returns the number removed. An attempt that still runs can no longer publish its files.

        Raises:
            StoreUnavailable: the store cannot be used now.
        """
        removed = 0
        try:
            for path in self.sizes:
                with suppress(ConditionFailed):  # an attempt has published: the next run finds what it left
                    if self._close(path):
                        self.publisher.delete_below(path)
                        removed += 1
        except ObjectStoreFailure as failure:
            raise StoreUnavailable(self.publisher.location, str(failure)) from failure
        return removed

    def _close(self, path: str) -> bool:
        """Closes the pointer for the attempt that wrote below ``path``; False if that is the bundle by now."""
        folder, _, prefix = path.rpartition("/")
        current, version = self.publisher.read_pointer(folder)
        if not is_leftover(current, prefix):
            return False
        token = token_of(prefix)
        if current is None:
            current = Pointer(token, token, REMOVED, "0" * 64, 0, 0)
        elif current.fence >= token:
            return True
        self.publisher.write_pointer(folder, current.fenced(token), version)
        return True
