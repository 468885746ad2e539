"""Signed links to what the REST API serves of a job. Pure, except for reading the key from its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from previewops.clock import iso_from_ms
from previewops.queue.records import JobRecord
from previewops.secret_files import read_secret_setting
from previewops.setting_values import parse_link_keys
from previewops.settings import Settings
from previewops.signed_links import LinkPurpose, LinkSigner, expiry
from previewops.states import JobState

JOBS_PATH = "/api/preview/jobs"
ASSETS_PATH = "/api/preview/assets"
UPLOAD_LINK_S = 600
"""Validity of a link for uploads, s."""


@dataclass(frozen=True, slots=True)
class JobLinks:
    """Addresses of one job for a browser, each valid without a token until ``expires_s`` (s since the epoch).

    ``files`` are by name, and empty unless the job has a bundle.
    """

    expires_s: int
    status: str
    events: str
    files: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The links as JSON."""
        return {
            "expiresAt": iso_from_ms(self.expires_s * 1000),
            "status": self.status,
            "events": self.events,
            "files": self.files,
        }


def open_signer(settings: Settings) -> LinkSigner | None:
    """Returns the signer with the keys of PREVIEW_LINK_KEY or its file; None if neither is set.

    Raises:
        UsageError: the file cannot be read, or has no valid key.
    """
    keys = settings.link_key
    if settings.link_key_file is not None:
        variable = "PREVIEW_LINK_KEY_FILE"
        keys = parse_link_keys(variable, read_secret_setting(variable, settings.link_key_file))
    return LinkSigner(keys, settings.api_url or "") if keys else None


def job_links(
    signer: LinkSigner, record: JobRecord, *, now_s: float, lifetime_s: int, until_s: int | None = None
) -> JobLinks:
    """Returns the links of a job, valid for ``lifetime_s`` and not beyond ``until_s``."""
    expires = expiry(now_s, lifetime_s)
    expires = expires if until_s is None else min(expires, until_s)
    base = f"{JOBS_PATH}/{record.job_id}"

    def read(path: str, digest: str | None = None) -> str:
        return signer.link(LinkPurpose.READ, path, expires, digest=digest)

    files = {}
    result = record.result or {}
    if record.state is JobState.COMPLETED and result.get("bundle") is not None:
        for entry in result.get("artifacts") or ():
            match entry:
                case {"path": str(name), "sha256": str(digest)}:
                    files[name] = read(f"{base}/artifacts/{name}", digest)
    return JobLinks(expires, read(f"{base}/status"), read(f"{base}/events"), files)


def upload_link(signer: LinkSigner, *, now_s: float) -> tuple[str, int]:
    """Returns a link for uploads and its expiry, in s since the epoch."""
    expires = int(now_s) + UPLOAD_LINK_S
    return signer.link(LinkPurpose.UPLOAD, ASSETS_PATH, expires), expires
