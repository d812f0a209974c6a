"""Liveness and readiness of the process, for supervisors and load balancers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

Check = Callable[[], Awaitable[bool]]
Warnings = Callable[[], Sequence[str]]


@dataclass
class Health:
    """Named checks; the process is ready if all of them pass.

    Attributes:
        warnings: What works only in part, and why a part does not work, one line each.  Warnings
            do not make a process unready: a restart, or another process, would not change what
            the first kind is about.
    """

    checks: dict[str, Check] = field(default_factory=dict)
    warnings: Warnings = field(default=lambda: ())

    async def run_checks(self) -> Mapping[str, bool]:
        """Run all checks, and return the result of each."""
        return {name: await check() for name, check in self.checks.items()}

    async def is_ready(self) -> bool:
        """Whether all checks pass; the last ones first, until one fails."""
        for check in reversed(self.checks.values()):
            if not await check():
                return False
        return True


def health_routes(health: Health) -> list[web.RouteDef]:
    """The routes `/healthz` (the process answers) and `/readyz` (all checks pass)."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        found = await health.run_checks()
        is_ready = all(found.values())
        body: dict[str, object] = {
            "status": "ready" if is_ready else "not ready",
            "checks": dict(found),
        }
        if warnings := list(health.warnings()):
            body["warnings"] = warnings
            body["status"] = "degraded" if is_ready else "not ready"
        return web.json_response(
            body,
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]
