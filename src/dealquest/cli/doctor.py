"""`dealquest doctor`: what is set, from where, what is missing and what that switches off. Never a secret."""

import sys

import anyio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dealquest.errors import SettingsError
from dealquest.settings import Settings, load_settings, variables

from .examine import examine

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "fault": "[red]fault[/]", "off": "[dim]off[/]"}


def doctor(*, offline: bool = False) -> None:
    """Show the settings, then try each part without spending a token. Exit code 1 when something is broken.

    Args:
        offline: Only show the settings, ask nobody.
    """
    console = Console(highlight=False)
    try:
        settings = load_settings()
    except SettingsError as exc:
        console.print(exc.message, markup=False)
        sys.exit(1)
    console.print(_settings_table(settings))
    if offline:
        return
    findings = anyio.run(examine, settings)
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row(escape(finding.part), _MARKS[finding.state], escape(finding.message))
    console.print(table)
    if any(finding.state == "fault" for finding in findings):
        sys.exit(1)


def _settings_table(settings: Settings) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("variable", no_wrap=True)
    for head in ("value", "from", "meaning"):
        table.add_column(head, overflow="fold")
    for variable in variables():
        value = getattr(settings, variable.field)
        is_set = variable.name in settings.given
        shown = "" if value in (None, ()) else "***" if variable.secret else ", ".join(value) if isinstance(value, tuple) else str(value)
        origin = "environment" if is_set else "default" if shown else "[dim]not set[/]"
        meaning = variable.purpose if is_set or not variable.without else f"{variable.purpose}; without it {variable.without}"
        table.add_row(variable.name, escape(shown), origin, escape(meaning))
    return table
