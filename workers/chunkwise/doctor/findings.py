"""What an examination says. Nothing counts as well that was not looked at."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` is the way out, in one sentence."""

    check: str
    subject: str
    message: str
    mend: str

    def fields(self) -> dict[str, str]:
        return {
            "check": self.check,
            "subject": self.subject,
            "message": self.message,
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class Unchecked:
    check: str
    reason: str


@dataclass(slots=True)
class Report:
    """`connection`: how the one to the database is protected."""

    connection: str = ""
    checked: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return not self.findings and not self.unchecked

    def fields(self) -> dict[str, Any]:
        return {
            "connection": self.connection,
            "findings": [finding.fields() for finding in self.findings],
            "checked": self.checked,
            "unchecked": [{"check": one.check, "reason": one.reason} for one in self.unchecked],
        }
