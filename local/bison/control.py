"""`BisonControl`: what a test, the demo or a benchmark does with a running fake."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
from pydantic import JsonValue

from local.bison.changes import (
    Add,
    AddReplies,
    Change,
    ChangeFields,
    ChangeReply,
    Remove,
    Restore,
    UpdatedAt,
)
from local.bison.control_api import TOKEN_HEADER
from local.bison.faults import Fault, Match, Rule, RuleState
from local.bison.traffic import Kind
from local.bison.wire import (
    CHANGES,
    CONVERSATIONS,
    RECORDS,
    RULE,
    RULE_STATES,
    TOUCHED,
    TRAFFIC,
    WORKSPACES,
    Traffic,
    WorkspaceInfo,
)

WAIT_S = 90.0


class BisonControlError(Exception):
    """Control refused: the message says what does not exist or is malformed."""


class BisonControl:
    """`base_url` is the instance host without a slash at its end; its API starts at `api_url`."""

    def __init__(self, base_url: str, control_token: str, http: httpx.AsyncClient) -> None:
        self.base_url = base_url
        self.api_url = f"{base_url}/api"
        self.control_token = control_token
        self._http = http

    @classmethod
    @asynccontextmanager
    async def connect(cls, base_url: str, control_token: str) -> AsyncIterator[Self]:
        # verify=False: there is no TLS here, and reading the certificates takes longer than a test.
        async with httpx.AsyncClient(
            base_url=f"{base_url}/_control",
            headers={TOKEN_HEADER: control_token},
            timeout=WAIT_S,
            trust_env=False,
            verify=False,
        ) as http:
            yield cls(base_url, control_token, http)

    async def workspaces(self) -> list[WorkspaceInfo]:
        return WORKSPACES.validate_json(await self._call("GET", "/workspaces"))

    async def workspace(self, name: str) -> WorkspaceInfo:
        found = [info for info in await self.workspaces() if info.name == name]
        if not found:
            raise BisonControlError(f"no workspace {name!r}")
        return found[0]

    async def accounts(self, workspace: str) -> list[dict[str, Any]]:
        """All records of a workspace as the API would serve them, ids ascending."""
        body = await self._call("GET", "/accounts", params={"workspace": workspace})
        return RECORDS.validate_json(body)

    async def page_body(self, workspace: str, page: int) -> bytes:
        """What the API would answer now, uncounted: raw material for a `Body` fault."""
        return await self._call("GET", "/page", params={"workspace": workspace, "page": page})

    async def apply(self, *changes: Change) -> list[list[int]]:
        """Do the changes in one moment; for each the ids it touched."""
        body = await self._call("POST", "/changes", content=CHANGES.dump_json(changes))
        return TOUCHED.validate_json(body)

    async def add_accounts(
        self, workspace: str, count: int = 1, records: Sequence[Mapping[str, JsonValue]] = ()
    ) -> list[int]:
        """`count` generated accounts, or `records` (what a record lacks is generated); the ids."""
        added = Add(workspace=workspace, count=count, records=tuple(records))
        return (await self.apply(added))[0]

    async def change_account(
        self,
        workspace: str,
        account_id: int,
        fields: Mapping[str, JsonValue],
        updated_at: UpdatedAt = "bump",
    ) -> None:
        await self.apply(
            ChangeFields(
                workspace=workspace, account_id=account_id, fields=fields, updated_at=updated_at
            )
        )

    async def remove_accounts(self, workspace: str, *account_ids: int) -> None:
        await self.apply(Remove(workspace=workspace, account_ids=account_ids))

    async def restore_accounts(self, workspace: str, *account_ids: int) -> None:
        """Bring removed accounts back byte for byte."""
        await self.apply(Restore(workspace=workspace, account_ids=account_ids))

    async def replies(self, workspace: str) -> list[dict[str, Any]]:
        """All replies of a workspace as the API would serve them, ids ascending."""
        return RECORDS.validate_json(
            await self._call("GET", "/replies", params={"workspace": workspace})
        )

    async def conversations(self, workspace: str) -> list[list[int]]:
        """The reply ids of every conversation, oldest first."""
        body = await self._call("GET", "/conversations", params={"workspace": workspace})
        return CONVERSATIONS.validate_json(body)

    async def add_replies(
        self,
        workspace: str,
        records: Sequence[Mapping[str, JsonValue]] = ({},),
        joins: int | None = None,
    ) -> list[int]:
        """Answers to the reply `joins`, or first mails of new conversations; their ids."""
        added = AddReplies(workspace=workspace, records=tuple(records), joins=joins)
        return (await self.apply(added))[0]

    async def change_reply(
        self, workspace: str, reply_id: int, fields: Mapping[str, JsonValue]
    ) -> None:
        await self.apply(ChangeReply(workspace=workspace, reply_id=reply_id, fields=fields))

    async def set_deep_page_limit(self, limit: int) -> None:
        """Pages of replies beyond it answer 422."""
        await self._call("POST", "/deep-page-limit", json={"limit": limit})

    async def revoke_key(self, workspace: str) -> None:
        """The workspace's key gets 401 until `restore_key`."""
        await self._call("POST", "/keys", json={"workspace": workspace, "accepted": False})

    async def restore_key(self, workspace: str) -> None:
        await self._call("POST", "/keys", json={"workspace": workspace, "accepted": True})

    async def set_latency(self, latency_ms: float) -> None:
        """For requests that arrive from now on."""
        await self._call("POST", "/latency", json={"latency_ms": latency_ms})

    async def traffic(self) -> Traffic:
        return TRAFFIC.validate_json(await self._call("GET", "/traffic"))

    async def reset_traffic(self) -> None:
        await self._call("DELETE", "/traffic")

    async def wait_for_requests(
        self, at_least: int, workspace: str | None = None, timeout_s: float = WAIT_S
    ) -> None:
        """Until so many have arrived since the last reset. Raises TimeoutError."""
        scope = {"workspace": workspace} if workspace else {}
        await self._wait("/traffic/wait", f"{at_least} requests", at_least, timeout_s, scope)

    async def add_rule(self, rule: Rule) -> int:
        """Its id."""
        return int(await self._call("POST", "/rules", content=RULE.dump_json(rule)))

    async def fault(
        self,
        fault: Fault,
        *,
        workspace: str | None = None,
        kind: Kind | None = None,
        page: int | None = None,
        from_page: int | None = None,
        item: int | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> int:
        """`add_rule` in one line: fire at the nth match, then `times` in all, None for ever."""
        match = Match(workspace=workspace, kind=kind, page=page, from_page=from_page, item=item)
        return await self.add_rule(Rule(fault=fault, match=match, nth=nth, times=times))

    async def rules(self) -> list[RuleState]:
        """The rules in order, with how many requests each matched and how often it fired."""
        return RULE_STATES.validate_json(await self._call("GET", "/rules"))

    async def clear_rules(self, rule_id: int | None = None) -> None:
        """Forget one rule or all, and let go what they hold."""
        await self._call("DELETE", "/rules", params=_given(rule_id=rule_id))

    async def wait_until_held(
        self, at_least: int = 1, rule_id: int | None = None, timeout_s: float = WAIT_S
    ) -> None:
        """Until so many requests are held at once. Raises TimeoutError."""
        scope = _given(rule_id=rule_id)
        await self._wait("/holds/wait", f"{at_least} held", at_least, timeout_s, scope)

    async def release(self, rule_id: int | None = None, count: int | None = None) -> int:
        """Let held requests go, oldest first (None: all); how many. The rule itself stays."""
        order = {"rule_id": rule_id, "count": count}
        return int(await self._call("POST", "/holds/release", json=order))

    async def _wait(
        self, path: str, what: str, at_least: int, timeout_s: float, scope: Mapping[str, Any]
    ) -> None:
        params = {"at_least": at_least, "timeout_s": timeout_s, **scope}
        if await self._call("GET", path, params=params, timeout=timeout_s + WAIT_S) != b"true":
            raise TimeoutError(f"{what} not reached within {timeout_s:g} s")

    async def _call(self, method: str, path: str, **options: Any) -> bytes:  # noqa: ANN401
        answer = await self._http.request(method, path, **options)
        if answer.is_error:
            raise BisonControlError(f"{answer.status_code}: {answer.text}")
        return answer.content


def _given(**params: int | None) -> dict[str, int]:
    return {name: value for name, value in params.items() if value is not None}
