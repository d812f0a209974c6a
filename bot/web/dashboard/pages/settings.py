"""The page of settings: their values and where each comes from, browsers, and API tokens."""

from __future__ import annotations

from dataclasses import dataclass

from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.route import LenientParameters, NoParameters
from core.domain.actor import Role

_SHOWN_TOKENS = 200
_SHOWN_BROWSERS = 200


class SettingsQuery(LenientParameters):
    """The page has no parameters."""


@dataclass(frozen=True)
class SettingsPage:
    """Shows settings and tokens to admins, and to everybody the browsers that are theirs."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, SettingsQuery]) -> Content:
        """What somebody may see of the settings."""
        services, is_admin = self.services, call.actor.role >= Role.ADMIN
        browsers = await services.dashboard.list_sessions(by=call.actor)
        sections = [
            Section(
                name="browsers",
                template="settings/browsers.html",
                values={
                    "browsers": browsers[:_SHOWN_BROWSERS],
                    "count": len(browsers),
                    "is_admin": is_admin,
                },
            )
        ]
        if is_admin:
            tokens = await services.tokens.list_all(by=call.actor)
            now = services.clock()
            rows = [(one, one.problem(now)) for one in tokens[:_SHOWN_TOKENS]]
            sections += [
                Section(
                    name="tokens",
                    template="settings/tokens.html",
                    values={"rows": rows, "count": len(tokens)},
                ),
                Section(
                    name="settings",
                    template="settings/values.html",
                    values={"groups": services.settings},
                ),
            ]
        return Content(title="Settings", sections=sections)

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/settings",
                name="settings",
                nav="settings",
                path_parameters=NoParameters,
                query=SettingsQuery,
                load=self.load,
                is_personal=lambda _: True,
            )
        ]
