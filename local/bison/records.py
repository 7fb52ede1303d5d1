"""Sender account records with the fields and the habits of Email Bison's `sender-emails`."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

FIRST_NAMES = (
    "Ava", "Ben", "Chloé", "Dario", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kaja",
    "Luca", "Maya", "Noah", "Olga", "Piotr", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Almeida", "Becker", "Castro", "Dubois", "Eriksen", "Fischer", "García", "Hansen", "Ito",
    "Jansen", "Kovač", "Lindqvist", "Moreau", "Novak", "O'Brien", "Petrov", "Rossi", "Şahin",
    "Taylor", "Varga", "Weber", "Young",
)  # fmt: skip
STATUSES = ("Connected", "Disconnected", "Failed", "Not connected")
STATUS_WEIGHTS = (90, 5, 3, 2)
TAG_NAMES = ("Warm", "Primary", "Q2 rotation", "Paused by client", "New domain")
MAIL_HOSTS = {
    "Inbox": ("imap.mailhost.example", "smtp.mailhost.example"),
    "google_workspace_oauth": ("imap.gmail.com", "smtp.gmail.com"),
    "microsoft_oauth": ("outlook.office365.com", "smtp.office365.com"),
}
TYPE_WEIGHTS = (25, 50, 25)

Account = dict[str, object]
Tag = Mapping[str, object]


def api_time(moment: datetime) -> str:
    """`2025-04-14T16:59:21.000000Z`: UTC, microseconds always zero, as the API writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "x"


def workspace_tags(rng: Random) -> tuple[Tag, ...]:
    """The tags of one workspace: `{"id", "name", "default"}`, the first is the default one."""
    first_id = rng.randint(100, 9_000)
    return tuple(
        {"id": first_id + offset, "name": name, "default": offset == 0}
        for offset, name in enumerate(TAG_NAMES)
    )


def new_account(
    rng: Random, account_id: int, domain: str, tags: Sequence[Tag], created: datetime
) -> Account:
    """One account in the API's field order; its email carries the id, so emails are distinct."""
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    account_type = rng.choices(tuple(MAIL_HOSTS), TYPE_WEIGHTS)[0]
    imap_server, smtp_server = MAIL_HOSTS[account_type]
    return {
        "id": account_id,
        "name": f"{first} {last}",
        "email": f"{slug(first)}.{slug(last)}{account_id}@{domain}",
        "email_signature": f"<p>{first} {last}<br>{domain}</p>" if rng.random() < 0.8 else None,
        "imap_server": imap_server,
        "imap_port": 993,
        "smtp_server": smtp_server,
        "smtp_port": 587 if account_type == "microsoft_oauth" else 465,
        "daily_limit": rng.choice((10, 15, 20, 25, 30, 50)),
        "type": account_type,
        "status": rng.choices(STATUSES, STATUS_WEIGHTS)[0],
        "warmup_enabled": rng.random() < 0.7,
        **_counters(rng),
        "created_at": api_time(created),
        "updated_at": api_time(created),
        "tags": [dict(tag) for tag in rng.sample(tags, rng.choice((0, 1, 1, 2, 3)))],
    }


def _counters(rng: Random) -> Account:
    """Counters that agree with each other: nobody replies more often than was sent."""
    sent = rng.randint(0, 6_000)
    contacted = sent * rng.randint(35, 60) // 100
    opened = sent * rng.randint(0, 40) // 100
    replied = contacted * rng.randint(0, 8) // 100
    return {
        "emails_sent_count": sent,
        "total_replied_count": replied,
        "total_opened_count": opened,
        "unsubscribed_count": contacted // 200,
        "bounced_count": sent * rng.randint(0, 3) // 100,
        "unique_replied_count": replied * 4 // 5,
        "unique_opened_count": opened * 3 // 5,
        "total_leads_contacted_count": contacted,
        "interested_leads_count": replied // 6,
    }
