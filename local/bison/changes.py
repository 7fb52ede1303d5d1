"""Changes to the fleet while it runs: sent by control, or done by a `Mutate` rule mid-scan.

Each is one dataclass with a literal `op`; `apply_change` returns the ids it touched.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from pydantic import JsonValue

from local.bison.fleet import Fleet, FleetError, Workspace, to_json
from local.bison.records import api_time
from local.bison.replies import UnknownReplyError

UpdatedAt = Literal["bump", "keep", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """`count` generated accounts, or one for each of `records`.

    A record may be partial: what it lacks is generated, what it names is served as given.
    """

    workspace: str
    count: int = 1
    records: tuple[Mapping[str, JsonValue], ...] = ()
    op: Literal["add"] = "add"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFields:
    """`updated_at`: `bump` to now, `keep`, or `age` to a day before what it was."""

    workspace: str
    account_id: int
    fields: Mapping[str, JsonValue] = field(default_factory=dict)
    updated_at: UpdatedAt = "bump"
    op: Literal["change"] = "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    workspace: str
    account_ids: tuple[int, ...]
    op: Literal["remove"] = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Bring removed accounts back, byte for byte."""

    workspace: str
    account_ids: tuple[int, ...]
    op: Literal["restore"] = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReplies:
    """One reply for each of `records`, which may be partial; of the conversation of the reply
    `joins`, as its answer, or of a conversation of its own each."""

    workspace: str
    records: tuple[Mapping[str, JsonValue], ...] = ({},)
    joins: int | None = None
    op: Literal["add_replies"] = "add_replies"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeReply:
    """Edit a reply, old or new: its place and its conversation stay, `updated_at` is bumped."""

    workspace: str
    reply_id: int
    fields: Mapping[str, JsonValue] = field(default_factory=dict)
    op: Literal["change_reply"] = "change_reply"


Change: TypeAlias = Add | ChangeFields | Remove | Restore | AddReplies | ChangeReply


def apply_change(fleet: Fleet, change: Change) -> list[int]:
    """Raises FleetError, with nothing of this change done, if it names what is not there."""
    workspace = fleet.workspace(change.workspace)
    match change:
        case Add(records=records, count=count):
            return _add(fleet, workspace, records or ({},) * count)
        case ChangeFields():
            return _change(fleet, workspace, change)
        case Remove(account_ids=ids):
            _require(ids, workspace.records, f"{workspace.name} has no account")
            workspace.removed |= {account_id: workspace.take(account_id) for account_id in ids}
            return list(ids)
        case Restore(account_ids=ids):
            _require(ids, workspace.removed, f"{workspace.name} has removed no account")
            for account_id in ids:
                fleet.claim_id(account_id)
            for account_id in ids:
                workspace.put(account_id, workspace.removed.pop(account_id))
            return list(ids)
        case AddReplies() | ChangeReply():
            return _change_feed(fleet, workspace, change)


def _change_feed(fleet: Fleet, workspace: Workspace, change: AddReplies | ChangeReply) -> list[int]:
    try:
        if isinstance(change, AddReplies):
            return [
                workspace.feed.add(record, change.joins, fleet.tick()) for record in change.records
            ]
        workspace.feed.change(change.reply_id, change.fields, fleet.tick())
    except UnknownReplyError as error:
        raise FleetError(str(error)) from error
    return [change.reply_id]


def _add(
    fleet: Fleet, workspace: Workspace, records: tuple[Mapping[str, JsonValue], ...]
) -> list[int]:
    given_ids = [_integer_id(record["id"]) for record in records if "id" in record]
    if len(set(given_ids)) < len(given_ids):
        raise FleetError(f"an id stands twice in {given_ids}")
    for account_id in given_ids:
        fleet.claim_id(account_id)
    added = []
    for record in records:
        account = {**fleet.next_account(workspace, fleet.tick()), **record}
        account_id = _integer_id(account["id"])
        workspace.put(account_id, to_json(account))
        added.append(account_id)
    return added


def _change(fleet: Fleet, workspace: Workspace, change: ChangeFields) -> list[int]:
    _require((change.account_id,), workspace.records, f"{workspace.name} has no account")
    if "id" in change.fields:
        raise FleetError("an account's id does not change: remove it and add another")
    account = json.loads(workspace.records[change.account_id])
    if change.updated_at == "bump":
        account["updated_at"] = api_time(fleet.tick())
    elif change.updated_at == "age":
        before = datetime.fromisoformat(account["updated_at"])
        account["updated_at"] = api_time(before - timedelta(days=1))
    workspace.put(change.account_id, to_json(account | dict(change.fields)))
    return [change.account_id]


def _integer_id(value: object) -> int:
    if type(value) is not int:
        raise FleetError(f"id {value!r} is no integer: serve such a page with a Body rule")
    return value


def _require(ids: tuple[int, ...], known: Mapping[int, bytes], complaint: str) -> None:
    missing = [account_id for account_id in ids if account_id not in known]
    if missing or len(set(ids)) < len(ids):
        raise FleetError(f"{complaint} {missing}" if missing else f"an id stands twice in {ids}")
