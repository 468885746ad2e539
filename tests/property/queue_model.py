"""Model of the queue in plain Python, which the state machine compares with Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

PRIORITIES = ("high", "normal", "low")
AGED_SHARE = 4
FULL_TURN = 27_720


@dataclass(slots=True)
class ModelJob:
    """One job. ``order`` is its position among waiting jobs, ``due_ms`` the end of its delay."""

    job_id: str
    priority: str
    body: str
    state: str = "waiting"
    foreign: bool = False
    body_lost: bool = False
    order: int = 0
    due_ms: int = 0
    attempts: int = 0
    crashes: int = 0
    requeues: int = 0
    failures: int = 0
    token: str | None = None
    worker: str | None = None
    lease_expired: bool = False
    ahead: bool = False
    uncounted: bool = False
    fingerprint: str | None = None
    finished_ms: int = 0
    project: str = ""
    batch: str | None = None

    @property
    def on_record(self) -> bool:
        """Whether the job has a record; a job of a stock arq client has none until it is admitted."""
        return self.state != "unadmitted"

    @property
    def project_known(self) -> bool:
        """Whether the record names the project: not if the body was lost before the job was admitted."""
        return not (self.foreign and self.body_lost)


@dataclass(slots=True)
class ModelBatch:
    """One batch. ``forgotten`` counts its completed jobs whose records have expired."""

    project: str
    closed: bool = False
    ended: bool = False
    forgotten: int = 0


@dataclass(slots=True)
class Model:
    """All jobs and the queue's own fields."""

    queue_max: int
    max_crashes: int
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    paused: bool = False
    passed_over: int = 0
    last_token: int = 0
    last_order: int = 0
    woken_workers: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)
    limits: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    turns: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in PRIORITIES})
    held: set[str] = field(default_factory=set)
    batches: dict[str, ModelBatch] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        if amount:
            self.counted[name] = self.counted.get(name, 0) + amount

    def of(self, *states: str) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state in states]

    def jobs_of(self, batch: str, *states: str) -> list[ModelJob]:
        return [job for job in self.of(*states) if job.batch == batch]

    @property
    def backlog(self) -> int:
        return len(self.of("waiting", "delayed", "unadmitted"))

    def check_token(self, job_id: str, token: str) -> str:
        """Returns the code for a caller with that token: OK, ALREADY or STALE."""
        job = self.jobs.get(job_id)
        if job is None or job.token != token:
            return "STALE"
        return "OK" if job.state == "active" else "ALREADY"

    def start(self, job_id: str, token: str) -> None:
        """Notes that the job of a claim ahead runs, if the caller holds it."""
        if self.check_token(job_id, token) == "OK":
            self.jobs[job_id].ahead = False

    def admit(self, now_ms: int, limit: int) -> int:
        """Admits due jobs."""
        due = [job for job in self.of("delayed", "unadmitted") if job.due_ms <= now_ms]
        due.sort(key=lambda job: (job.due_ms, job.job_id))
        for job in due[:limit]:
            self.admit_job(job, job.due_ms)
        return min(limit, len(due))

    def admit_job(self, job: ModelJob, due_ms: int) -> None:
        if job.state == "unadmitted":
            self.count("accepted")
        job.state = "waiting"
        job.order = due_ms * 1000
        self.enter_turns(job.priority, job.project)

    def enter_turns(self, priority: str, project: str) -> None:
        """Lets a project take turns, one moment before it would if it had just had one."""
        turns = self.turns[priority]
        if project not in turns and project not in self.held:
            turns[project] = min(turns.values(), default=0) + self.turn_of(project) - 1

    def turn_of(self, project: str) -> int:
        return FULL_TURN // self.limits.get(project, (1, None))[0]

    def stop_running(self, job: ModelJob, state: str) -> None:
        """Ends a run; its project takes turns again if it was held."""
        job.state = state
        if self.limits.get(job.project, (1, None))[1] is not None and job.project in self.held:
            self.held.remove(job.project)
            for priority in PRIORITIES:
                if self._of_project(priority, job.project):
                    self.enter_turns(priority, job.project)

    def choose(self, count: int, aged: bool, ahead: int = 0) -> list[ModelJob]:
        """Returns the jobs that a claim gets, in order. ``aged``: every job has waited longer than the ageing
        limit. ``ahead``: maximum number of claims ahead, which follow the others.
        """
        claim = _ModelClaim()
        chosen = self._choose(count, aged, claim)
        for job in self._choose(min(ahead, len(self.of("waiting")) // 2), aged, claim):
            job.ahead = True
            chosen.append(job)
        return chosen

    def _choose(self, count: int, aged: bool, claim: _ModelClaim) -> list[ModelJob]:
        chosen: list[ModelJob] = []
        while not self.paused and len(chosen) < count:
            heads = [
                head
                for priority in PRIORITIES
                if priority not in claim.held and (head := self._head(priority)) is not None
            ]
            if not heads:
                break
            pick = heads[0]
            if aged and len(heads) > 1:
                self.passed_over += 1
                if self.passed_over == AGED_SHARE:
                    self.passed_over = 0
                    pick = min(heads[1:], key=lambda job: job.order)
            job = self._take(pick.priority, claim)
            if job is None:
                claim.held.add(pick.priority)
            else:
                job.state = "active"
                chosen.append(job)
        return chosen

    def _take(self, priority: str, claim: _ModelClaim) -> ModelJob | None:
        """The oldest job of the project whose turn it is, within its maximum."""
        turns = self.turns[priority]
        alone = claim.alone.setdefault(priority, len(turns) == 1 and not self.limits)
        while turns:
            project = min(turns, key=lambda name: (turns[name], name))
            maximum = self.limits.get(project, (1, None))[1]
            if maximum is not None and self._active(project) >= maximum:
                self.held.add(project)
                for others in self.turns.values():
                    others.pop(project, None)
                continue
            first, *others_of_it = self._of_project(priority, project)
            if not others_of_it:
                del turns[project]
            elif not alone:
                turns[project] += self.turn_of(project)
            return first
        return None

    def _active(self, project: str) -> int:
        return sum(job.project == project for job in self.of("active"))

    def _of_project(self, priority: str, project: str) -> list[ModelJob]:
        jobs = [job for job in self.of("waiting") if (job.priority, job.project) == (priority, project)]
        return sorted(jobs, key=lambda job: (job.order, job.job_id))

    def _head(self, priority: str) -> ModelJob | None:
        waiting = [job for job in self.of("waiting") if job.priority == priority]
        return min(waiting, key=lambda job: (job.order, job.job_id), default=None)

    def return_to_waiting(self, job: ModelJob) -> None:
        job.state, job.lease_expired, job.ahead = "waiting", False, False

    def move_to_dead_letters(self, job: ModelJob, fingerprint: str) -> None:
        job.state, job.fingerprint, job.ahead = "dead", fingerprint, False
        self.count("died")

    def recover(self, job: ModelJob, fingerprint: str) -> None:
        """Recovers a job whose worker is gone."""
        if job.ahead and not job.uncounted:
            job.uncounted, job.token = True, None
            self.return_to_waiting(job)
            return
        job.crashes += 1
        job.failures += 1
        job.token = None
        self.count("crashed")
        if job.crashes >= self.max_crashes:
            self.move_to_dead_letters(job, fingerprint)
        else:
            self.return_to_waiting(job)


@dataclass(slots=True)
class _ModelClaim:
    """What one claim has found out: priorities in which all projects are held, and those in which one waits."""

    held: set[str] = field(default_factory=set)
    alone: dict[str, bool] = field(default_factory=dict)
