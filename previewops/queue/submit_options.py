"""How a job is submitted, beside its payload, which stays the same. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from previewops.queue.due_time import DueTime


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """Options of a submit.

    ``replaced_by`` is who replaces the payload of a job of the same id; None rejects another payload as a conflict.
    ``due`` is the earliest start. ``batch`` is the batch that the job joins (``previewops.queue.batches``).
    """

    replaced_by: str | None = None
    due: DueTime | None = None
    batch: str | None = None

    def script_argument(self, *, compared: bool = False) -> str:
        """Returns the options as an argument of the script ``submit_with_options``, "" without any.

        ``compared``: the stored body of a stock arq client was compared with the payload, and differs.
        """
        options: dict[str, str | bool] = {}
        if self.replaced_by is not None:
            options["who"] = self.replaced_by
        if self.due is not None:
            options["due"] = self.due.script_argument()
        if self.batch is not None:
            options["batch"] = self.batch
        if compared:
            options["compared"] = True
        return json.dumps(options) if options else ""


NO_OPTIONS = SubmitOptions()
