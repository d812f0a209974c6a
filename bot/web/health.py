"""Liveness and readiness of the process, for supervisors and load balancers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

Check = Callable[[], Awaitable[bool]]


@dataclass
class Health:
    """Named checks; the process is ready if all of them pass."""

    checks: dict[str, Check] = field(default_factory=dict)

    async def run_checks(self) -> Mapping[str, bool]:
        """Run all checks, and return the result of each."""
        return {name: await check() for name, check in self.checks.items()}


def health_routes(health: Health) -> list[web.RouteDef]:
    """The routes `/healthz` (the process answers) and `/readyz` (all checks pass)."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        found = await health.run_checks()
        is_ready = all(found.values())
        return web.json_response(
            {"status": "ready" if is_ready else "not ready", "checks": dict(found)},
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]
