"""``previewops render``: renders one payload in this process, without Redis."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.error_lines import format_error_lines
from previewops.cli.output import print_err, print_json, print_out, print_status
from previewops.cli.payload_files import STDIN, ParsedPayload, read_payload
from previewops.cli.shared_options import json_option
from previewops.contract import Payload
from previewops.errors import PreviewopsError, UsageError
from previewops.job_errors import JobError
from previewops.settings import Settings
from previewops.worker.assets.opener import AssetOpener, FileAssetOpener

Progress = Callable[[float, str], None]
_MANIFEST = "container.json"
MIB = 1024 * 1024


class RenderFailed(PreviewopsError):
    """Rendering failed. ``error`` is the error that a worker would have recorded."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.error = error

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "error": self.error.code, "data": self.error.data}


@click.command(
    epilog="""\b
Examples:
  previewops render job.json -o preview
  previewops render job.json -o preview --replace
  previewops render job.json -o preview --watch
  generate-job | previewops render - -o preview --json

\b
Exit codes: 0 success, 1 failed because of an asset or a limit, 2 usage,
65 invalid payload."""
)
@click.argument("file", metavar="PAYLOAD", type=click.Path(allow_dash=True))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the bundle. It must be missing or empty.",
)
@click.option("--replace", is_flag=True, help="Replace an existing bundle in DIR.")
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Render again when PAYLOAD or one of its local files changes, and show the contact sheet, until Ctrl-C.",
)
@json_option
@pass_context
def render(
    context: Context, /, *, file: str, output: Path, replace: bool, is_watching: bool, as_json: bool
) -> int:
    """Render one payload into DIR, in this process, without Redis or workers.

    PAYLOAD "-" is standard input. The payload's own folder is an asset root too. DIR is created atomically. With
    "dryRun": true the plan is printed as JSON and nothing is written.
    """
    if is_watching:
        return _watch(context, file, output, replace=replace, as_json=as_json)
    summary = _render_once(context, read_payload(file), output, replace=replace)
    if as_json or summary["dryRun"]:
        print_json(summary if summary["dryRun"] else {**summary, "bundle": str(output)})
        return 0
    _print_summary(summary, output)
    return 0


def _render_once(context: Context, parsed: ParsedPayload, output: Path, *, replace: bool) -> dict[str, Any]:
    """Validates and renders; returns the summary."""
    settings, shared = context.settings, context.asset_policy()
    roots = (parsed.base.resolve(), *settings.effective_asset_roots(Path.cwd()))
    payload = parsed.validate(dataclasses.replace(shared, roots=roots, webhook_hosts=None))
    _check_output(output, replace=replace)
    with _translate_errors(), _progress() as progress, _opener(settings, roots) as opener:
        return _render(payload, settings, opener, output, progress)


def _watch(context: Context, file: str, output: Path, *, replace: bool, as_json: bool) -> int:
    """Renders after each change and shows the contact sheet."""
    from previewops.cli.file_watch import FileWatch
    from previewops.cli.sheet_printer import SheetPrinter
    from previewops.cli.watch_loop import watch_and_render
    from previewops.cli.watched_files import watched_files

    if file == STDIN or as_json:
        raise UsageError(
            f"--watch: found {'standard input' if file == STDIN else '--json'}, allowed a file and text output",
            hint="render once without --watch",
        )
    _check_output(output, replace=replace)
    printer, roots = SheetPrinter(), context.settings.effective_asset_roots(Path.cwd())

    def list_files() -> tuple[Path, ...]:
        parsed = read_payload(file)
        return watched_files(Path(file), parsed.payload, (parsed.base.resolve(), *roots))

    def render_again() -> None:
        summary = _render_once(context, read_payload(file), output, replace=True)
        if summary["dryRun"]:
            print_json(summary)
            return
        printer.print(output)
        _print_summary(summary, output, lists_files=False)

    return watch_and_render(
        files=list_files,
        render=render_again,
        watch=FileWatch(),
        report=print_status,
        report_error=lambda error: print_status(format_error_lines(error)),
    )


def _check_output(output: Path, *, replace: bool) -> None:
    if not output.exists() or not any(output.iterdir()):
        return
    if not replace:
        raise UsageError(f"{output} is not empty", hint="choose another folder, or use --replace")
    if not (output / _MANIFEST).is_file():
        raise UsageError(
            f"{output} does not contain a bundle; it is not replaced", hint="choose another folder"
        )


@contextmanager
def _opener(settings: Settings, roots: tuple[Path, ...]) -> Iterator[AssetOpener]:
    if not settings.asset_hosts and not settings.effective_asset_buckets:
        yield FileAssetOpener(roots, data_dir=settings.data_dir)
        return
    from previewops.worker.assets.buckets import BucketFetcher
    from previewops.worker.assets.download_cache import DownloadCache
    from previewops.worker.assets.fetch import WebFetcher

    web = WebFetcher(settings.asset_hosts, settings.fetch_timeout_s) if settings.asset_hosts else None
    buckets = BucketFetcher(settings.effective_asset_buckets)
    total_bytes = settings.fetch_max_mb * MIB
    with closing(DownloadCache(web, buckets=buckets, total_bytes=total_bytes)) as fetched:
        yield FileAssetOpener(roots, fetched, data_dir=settings.data_dir)


def _render(
    payload: Payload, settings: Settings, opener: AssetOpener, output: Path, progress: Progress
) -> dict[str, Any]:
    """Renders into a temporary folder beside ``output``, then renames it to ``output``."""
    from previewops.worker.bundle_builder import build_bundle
    from previewops.worker.publish.output import FolderOutput
    from previewops.worker.render.limits import RenderLimits
    from previewops.worker.render.text.fontconfig import find_fonts
    from previewops.worker.themes.folder import ThemeFolder

    theme = ThemeFolder(settings.themes).find(payload.request)
    with _beside(output) as draft:
        summary = build_bundle(
            payload.raw,
            opener=opener,
            output=FolderOutput(draft),
            limits=RenderLimits.from_settings(settings),
            fonts=find_fonts(settings.fonts),
            theme=theme,
            progress=progress,
        )
        if not payload.dry_run:
            if output.exists():
                shutil.rmtree(output)
            draft.rename(output)
    return summary


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """Yields a temporary folder on the file system of ``output`` and removes it at the end."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
            yield Path(folder) / "bundle"
    except OSError as error:
        raise PreviewopsError(
            f"cannot write {output}: {error.strerror or error}", hint="choose another folder with -o"
        ) from error


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except JobError as error:
        raise RenderFailed(error) from error
    except MemoryError as error:
        raise PreviewopsError(
            "not enough memory", hint="use smaller or fewer assets, or a smaller resolution"
        ) from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """Shows a bar on standard error if it is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda share, word: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading", total=1.0)
        yield lambda share, word: bars.update(task, completed=share, description=word)


def _print_summary(summary: dict[str, Any], output: Path, *, lists_files: bool = True) -> None:
    files = summary["artifacts"]
    total = sum(int(entry["bytes"]) for entry in files)
    print_out(
        f"{output}: {len(files)} files, {total / 1_048_576:.1f} MiB, "
        f"{summary['width']}x{summary['height']}, {summary['durationMs'] / 1000:g} s; "
        f"rendered in {summary['renderMs'] / 1000:.1f} s"
    )
    if lists_files:
        print_out(f"  {entry['path']}" for entry in files)
    print_err(f"note: {warning}" for warning in summary["warnings"])
