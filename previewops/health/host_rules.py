"""Health rules that compare the hosts of a fleet. Silent workers are left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from previewops.formatting import format_duration, pluralize
from previewops.health.inputs import ROLLOUT_MS, Confinement, HealthInputs, Thresholds
from previewops.health.results import Check, Status, classify, format_seconds, make_check
from previewops.snapshot.hosts import HostReport, group_by_host
from previewops.snapshot.model import SHORT_ID_CHARS, WorkerState

_SHOWN_HOSTS = 4


def check_versions(inputs: HealthInputs) -> Check:
    """Checks that all workers run the same version, unless the newest one was first started a short time ago."""
    by_version: dict[str, list[WorkerState]] = defaultdict(list)
    for worker in inputs.workers:
        if worker.version:
            by_version[worker.full_version].append(worker)
    figure = ", ".join(sorted(by_version)) or "none"
    if len(by_version) < 2:
        return Check("versions", Status.OK, "all workers run the same version", figure)
    first_starts = {
        version: min(_started_ms(worker) for worker in workers) for version, workers in by_version.items()
    }
    newest = max(first_starts, key=lambda version: first_starts[version])
    hosts = "; ".join(
        f"{version} on {_list_hosts(workers)}" for version, workers in sorted(by_version.items())
    )
    age_ms = max(0, inputs.now_ms - first_starts[newest])
    message = f"workers run different versions, the newest for {format_duration(age_ms)}: {hosts}"
    advice = "finish the roll-out: install the new version on the hosts with the old one, and restart them"
    status = Status.WARNING if age_ms >= ROLLOUT_MS else Status.OK
    return make_check("versions", status, message, figure, advice)


def _started_ms(worker: WorkerState) -> int:
    """When the worker started, by the clock of Redis."""
    return worker.started_ms - (worker.clock_ahead_ms or 0)


def check_confinement(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that render processes have the required confinement, and the same on all hosts.

    Workers that do not report it are skipped.
    """
    workers = sorted(
        (worker for worker in inputs.workers if worker.confined_by), key=lambda worker: worker.worker_id
    )
    if not workers:
        return
    required = thresholds.confinement.layers
    lacking = [worker for worker in workers if _missing_layers(worker, required)]
    if lacking:
        missing = _missing_layers(lacking[0], required)
        others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = f"{lacking[0].worker_id}{others} render without {_explain(lacking[0], missing)}"
        advice = (
            "permit Landlock and seccomp where the worker's kernel, service or container denies them, "
            "or lower --confinement"
        )
        figure = f"{len(lacking)} of {len(workers)} lack it"
        yield Check("confinement", Status.WARNING, message, figure, advice)
        return
    hosts = [host for host in group_by_host(inputs.workers) if host.layers]
    weakest = min(hosts, key=lambda host: len(host.layers))
    figure = pluralize(len(weakest.layers), "layer")
    unequal = {layer for host in hosts for layer in host.layers} - set(weakest.layers)
    if unequal and thresholds.confinement is not Confinement.LIMITS:
        others = ", ".join(host.host for host in hosts if unequal - set(host.layers))
        message = f"confinement differs: {others} without {_explain(weakest, sorted(unequal))}"
        advice = "give all hosts the same kernel and service, or accept it with --confinement limits"
        yield Check("confinement", Status.WARNING, message, figure, advice)
        return
    message = f"render processes are confined by {', '.join(weakest.confined_by)}"
    yield Check("confinement", Status.OK, message, figure)


def _missing_layers(worker: WorkerState, required: Iterable[str]) -> list[str]:
    return [name for name in required if not any(layer.startswith(name) for layer in worker.confined_by)]


def _explain(report: WorkerState | HostReport, missing: Sequence[str]) -> str:
    """Names the missing layers, with the reasons that are reported."""
    reasons = "; ".join(line for line in report.confinement_missing if line.startswith(tuple(missing)))
    return " and ".join(missing) + (f" ({reasons})" if reasons else "")


def check_clocks(inputs: HealthInputs, thresholds: Thresholds) -> Iterable[Check]:
    """Checks that all hosts agree on the time, for logs and file times. Leases do not depend on it."""
    clocks = inputs.clocks_ahead_ms()
    if not clocks:
        return
    host, ahead = max(clocks.items(), key=lambda item: abs(item[1]))
    status = classify(abs(ahead), thresholds.skew_warning_ms, thresholds.skew_critical_ms)
    side = "ahead of" if ahead > 0 else "behind"
    message = f"the clock of {host} is {format_seconds(abs(ahead))} {side} the one of Redis"
    if status is Status.OK:
        message = "the clocks of all hosts agree with the one of Redis"
    advice = "synchronize the hosts' clocks by NTP; `timedatectl` shows their state"
    yield make_check("clocks", status, message, f"{ahead / 1000:+.1f} s", advice)


def check_shared_store(inputs: HealthInputs) -> Iterable[Check]:
    """Checks that all workers publish to one store, and that this process reads it."""
    by_store: dict[str, list[WorkerState]] = defaultdict(list)
    for worker in inputs.workers:
        if worker.store is not None and worker.store.store_id:
            by_store[worker.store.store_id].append(worker)
    if not by_store:
        return
    figure = pluralize(len(by_store), "store")
    if len(by_store) > 1:
        # The most common store first: the hosts that need a change follow.
        ordered = sorted(by_store.items(), key=lambda item: (-len(item[1]), item[0]))
        stores = "; ".join(f"{_list_hosts(workers)} to {_name_store(workers[0])}" for _, workers in ordered)
        message = f"workers publish to {len(by_store)} different stores: {stores}"
        advice = (
            "readers find only the bundles of their own store: mount one file system at DATA_DIR on all hosts, "
            "or set the same PREVIEW_STORE on them, then restart the workers"
        )
        yield Check("shared-store", Status.WARNING, message, figure, advice)
    elif inputs.store_id and inputs.store_id not in by_store:
        (workers,) = by_store.values()
        message = (
            f"this process reads the store {inputs.store_id[:SHORT_ID_CHARS]}, "
            f"workers publish to {_name_store(workers[0])}"
        )
        advice = "set DATA_DIR or PREVIEW_STORE of this process to the store of the workers"
        yield Check("shared-store", Status.WARNING, message, figure, advice)
    else:
        yield Check("shared-store", Status.OK, "all workers publish to the same store", figure)


def _name_store(worker: WorkerState) -> str:
    """Returns address and id: two folders may have the same path on different hosts."""
    assert worker.store is not None
    return f"{worker.store.location} ({worker.store.store_id[:SHORT_ID_CHARS]})"


def check_host_stores(inputs: HealthInputs) -> Iterable[Check]:
    """Checks that the workers of each host can publish."""
    hosts = [host for host in group_by_host(inputs.workers) if host.store is not None]
    if not hosts:
        return
    failing = {host.host: host.store for host in hosts if host.store is not None and host.store.problem}
    figure = f"{len(hosts) - len(failing)} of {pluralize(len(hosts), 'host')}"
    if not failing:
        yield Check("host-stores", Status.OK, "the workers of all hosts can publish bundles", figure)
        return
    host, report = min(failing.items(), key=lambda item: (item[1].since_ms, item[0]))
    others = f"; {len(failing) - 1} more" if len(failing) > 1 else ""
    lasting = format_duration(max(0, inputs.now_ms - report.since_ms))
    message = f"workers of {host} cannot publish for {lasting}: {report.problem}{others}"
    advice = (
        f"check mount, disk, network and credentials of {host}; "
        f"`previewops drain --host {host}` leaves the jobs to other hosts"
    )
    if len(failing) == len(hosts):
        advice = "check the store itself, and the disk, network and credentials of the hosts"
    status = Status.CRITICAL if len(failing) == len(hosts) else Status.WARNING
    yield Check("host-stores", status, message, figure, advice)


def check_themes(inputs: HealthInputs) -> Iterable[Check]:
    """Checks that the themes of all workers are valid, and the same on all hosts."""
    workers = [worker for worker in inputs.workers if worker.themes is not None]
    themes = [worker.themes for worker in workers if worker.themes is not None]
    if not any(report.count or report.invalid for report in themes):
        return
    figure = pluralize(max(report.count for report in themes), "theme")
    failing = [worker for worker in workers if worker.themes is not None and worker.themes.invalid]
    if failing and failing[0].themes is not None:
        report = failing[0].themes
        more = f"; {report.invalid - 1} more" if report.invalid > 1 else ""
        problem = report.problems[0] if report.problems else "invalid"
        message = f"themes of {_list_hosts(failing)}: {problem}{more}"
        advice = (
            "jobs that choose this theme fail: correct the file; `previewops themes` on the host lists all"
        )
        yield Check("themes", Status.WARNING, message, figure, advice)
        return
    if len({report.digest for report in themes}) > 1:
        by_digest: dict[str, list[WorkerState]] = defaultdict(list)
        for worker in workers:
            by_digest[worker.themes.digest if worker.themes else ""].append(worker)
        groups = sorted(by_digest.values(), key=lambda members: -len(members))
        hosts = "; ".join(_list_hosts(members) for members in groups)
        message = f"workers have different themes: {hosts}"
        advice = "the same job looks different, or fails: copy the folder PREVIEW_THEMES to all hosts"
        yield Check("themes", Status.WARNING, message, figure, advice)
        return
    yield Check("themes", Status.OK, "all themes are valid, and the same on all hosts", figure)


def _list_hosts(workers: Iterable[WorkerState]) -> str:
    """Names the hosts of workers, at most ``_SHOWN_HOSTS``."""
    hosts = sorted({worker.host_label for worker in workers})
    more = len(hosts) - _SHOWN_HOSTS
    return ", ".join(hosts[:_SHOWN_HOSTS]) + (f" and {more} more" if more > 0 else "")
