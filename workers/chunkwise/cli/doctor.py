"""`chunkwise doctor`."""

import asyncio
from contextlib import closing

import typer

from chunkwise.cli.output import JsonOption, print_json, print_table
from chunkwise.doctor.database import Database
from chunkwise.doctor.examine import examine
from chunkwise.doctor.findings import Report
from chunkwise.settings import Settings

FINDING_COLUMNS = {"check": "check", "subject": "what", "message": "finding", "mend": "mend"}
UNCHECKED_COLUMNS = {"check": "not checked", "reason": "why"}


def doctor(
    as_json: JsonOption = False,
) -> None:
    """Look for what keeps the project from working: through DATABASE_URL and over the API.

    Exit codes: 0 all was checked and is well; 1 findings, or something could not be checked; 2 a
    setting or the connection.
    """
    settings = Settings.read()
    with closing(
        Database.connect(settings.database_url, settings.database_certificate)
    ) as database:
        report = asyncio.run(examine(settings, database))
    if as_json:
        print_json(report.fields())
    else:
        _print(report)
    raise typer.Exit(0 if report.is_well else 1)


def _print(report: Report) -> None:
    if report.findings:
        print_table(None, FINDING_COLUMNS, [finding.fields() for finding in report.findings])
    if report.unchecked:
        print_table(None, UNCHECKED_COLUMNS, report.fields()["unchecked"])
    print(f"Connection to the database: {report.connection}.")
    print(f"Checked: {', '.join(report.checked) or 'nothing'}.")
    if report.is_well:
        print("Nothing found.")
