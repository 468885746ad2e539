"""Who sends a request, and what it may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from previewops.api.errors import Forbidden, ProjectNotAllowed
from previewops.api.request_params import Endpoint
from previewops.formatting import pluralize
from previewops.queue.pending_quota import PendingQuota
from previewops.queue.records import JobRecord

CALLER = "previewops.caller"
"""Key of a request's scope: its ``Caller``."""


class Permission(StrEnum):
    """What a route requires."""

    SUBMIT = "submit"  # submit, upload, cancel
    READ = "read"  # jobs, events, artifacts, dead letters
    OPERATE = "operate"  # requeue and discard dead letters
    MONITOR = "monitor"  # figures of the whole queue
    CONTROL = "control"  # pause, resume, limits of projects, webhooks of the whole queue


SCOPES = (Permission.SUBMIT, Permission.READ, Permission.OPERATE)
"""Permissions that a named token is given. The others follow from operate, for all projects."""

EVERYTHING = frozenset(Permission)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    ``name`` is that of a named token, None for every other caller. ``projects`` are those whose jobs it may see, None
    for all. ``share`` is what holds a share of the event streams beside the client's address, as messages name it.
    ``rate`` is its requests per second, 0 for no limit of its own.
    """

    permissions: frozenset[Permission] = EVERYTHING
    name: str | None = None
    projects: frozenset[str] | None = None
    share: str | None = None
    rate: int = 0
    quota: PendingQuota | None = None

    def may_see(self, record: JobRecord) -> bool:
        """Whether the job is in a project of this caller."""
        return self.projects is None or record.project_id in self.projects

    def as_json(self) -> dict[str, Any]:
        """Returns a named token as its file describes it, without the digest."""
        return {
            "name": self.name,
            "scopes": [scope.value for scope in SCOPES if scope in self.permissions],
            "projects": ["*"] if self.projects is None else sorted(self.projects),
            "rate": self.rate,
            "queue": 0 if self.quota is None else self.quota.limit,
        }

    def check_project(self, project_id: str) -> None:
        """Checks that the caller may submit jobs of a project.

        Raises:
            ProjectNotAllowed: it may not.
        """
        if self.projects is not None and project_id not in self.projects:
            raise ProjectNotAllowed(self.share or "", project_id, sorted(self.projects))

    def record_name(self, operator: str) -> str:
        """Returns the name that is recorded with a command. ``operator`` is what the client claims to be, or "".

        A token's name comes first: it has no slash, so that nobody can claim to be another token.
        """
        if self.name is None:
            return operator
        return f"{self.name}/{operator}" if operator else self.name


def caller_of(request: Request) -> Caller:
    """Returns the caller of a request."""
    caller: Caller = request.scope[CALLER]
    return caller


def require(endpoint: Endpoint, *permissions: Permission) -> Endpoint:
    """Wraps ``endpoint`` so that it rejects callers without any of ``permissions``."""

    async def check_and_call(request: Request) -> Response:
        require_permission(caller_of(request), *permissions)
        return await endpoint(request)

    return check_and_call


def require_permission(caller: Caller, *permissions: Permission) -> None:
    """Checks that the caller has one of ``permissions``.

    Raises:
        Forbidden: it has none.
    """
    if caller.permissions.isdisjoint(permissions):
        raise _missing(caller, permissions)


def _missing(caller: Caller, permissions: tuple[Permission, ...]) -> Forbidden:
    granted = ", ".join(scope for scope in SCOPES if scope in caller.permissions)
    scopes = [permission.value for permission in permissions if permission in SCOPES]
    allowed = " or ".join(scopes) if scopes else "operate, for all projects"
    limit = "" if caller.projects is None else f" for {pluralize(len(caller.projects), 'project')}"
    return Forbidden(
        f"scopes of {caller.share or 'this request'}: found {granted}{limit}, allowed {allowed}",
        hint="use another token, or change its scopes in PREVIEW_API_TOKENS_FILE",
    )
