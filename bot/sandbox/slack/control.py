"""The control API under /_emu/: what the demo page and black-box tests use.

Everything is JSON; what cannot be done answers `{"ok": false, "error": …}`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.sandbox.slack.delivery.socket_mode import SocketMode
from bot.sandbox.slack.errors import HumanRefused
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.people import Channel, Person
from bot.sandbox.slack.person import interactions, screens
from bot.sandbox.slack.person.actions import Acts
from bot.sandbox.slack.person.presses import Presses
from bot.sandbox.slack.state import Document

Act = Callable[[Document], Awaitable[Document]]

# What an entry of `actions` takes over from what the page says was entered.
_ENTERED = (
    "value",
    "selected_option",
    "selected_options",
    "selected_user",
    "selected_users",
    "selected_channel",
    "selected_channels",
    "selected_conversation",
    "selected_conversations",
    "selected_date",
    "selected_time",
    "selected_date_time",
)


class Control:
    """The routes of the control API."""

    def __init__(
        self,
        *,
        acts: Acts,
        presses: Presses,
        faults: Faults,
        sockets: SocketMode,
        reset: Callable[[], None],
    ) -> None:
        self._acts = acts
        self._presses = presses
        self._faults = faults
        self._sockets = sockets
        self._reset = reset
        self._workspace = acts.workspace

    def add_routes(self, app: web.Application) -> None:
        """Register the routes."""
        for path, act in {
            "say": self.say,
            "slash": self.slash,
            "click": self.click,
            "view/submit": self.submit,
            "view/close": self.close_view,
            "view/action": self.view_action,
            "view/suggest": self.suggest,
            "shortcut": self.shortcut,
            "home": self.home,
            "stop": self.stop,
            "join": self.join,
            "leave": self.leave,
            "react": self.react,
            "faults": self.faults,
            "disconnect": self.disconnect,
            "clock": self.clock,
            "reset": self.reset,
        }.items():
            app.router.add_post(f"/_emu/{path}", _posted(act))
        for path, look in {
            "state": self.state,
            "messages": self.messages,
            "thread": self.thread,
            "inspector": self.inspector,
            "problems": self.problems,
        }.items():
            app.router.add_get(f"/_emu/{path}", _asked(look))
        app.router.add_get("/_emu/files/{file}", self.file)

    def _who(self, body: Document) -> Person:
        return self._workspace.person(body.get("user") or None)

    def _where(self, body: Document) -> tuple[Person, Channel]:
        return self._who(body), self._workspace.channel(str(body.get("channel", "")))

    async def state(self, query: Document) -> Document:
        """The team as one person sees it."""
        return screens.state(self._workspace, self._who(query))

    async def messages(self, query: Document) -> Document:
        """A channel as one person sees it."""
        return {"messages": screens.messages(self._workspace, *self._where(query))}

    async def thread(self, query: Document) -> Document:
        """A thread as one person sees it."""
        person, channel = self._where(query)
        ts = str(query.get("ts", ""))
        return {"messages": screens.thread(self._workspace, person, channel, ts)}

    async def say(self, body: Document) -> Document:
        """Write a message."""
        message = await self._acts.say(
            *self._where(body), str(body.get("text", "")), thread_ts=body.get("thread_ts")
        )
        return {"ts": message["ts"]}

    async def slash(self, body: Document) -> Document:
        """Send a slash command."""
        result = await self._acts.slash(
            *self._where(body),
            str(body.get("command", "")),
            str(body.get("text", "")),
            from_thread=bool(body.get("thread_ts")),
        )
        shown: Document = {"ok": result.ok, "ack_ms": round(result.ack_ms)}
        if result.error:
            shown["error"] = result.error
        if result.response_text is not None:
            shown["response_text"] = result.response_text
        return shown

    async def click(self, body: Document) -> Document:
        """Press or choose something in a message."""
        person, channel = self._where(body)
        ts = str(body.get("ts", ""))
        message, _ = self._presses.message_on_screen(person, channel, ts)
        found = _found(message.get("blocks", []), body)
        await self._presses.click(person, channel, ts, found, _entered(body))
        return {}

    async def submit(self, body: Document) -> Document:
        """Submit a modal."""
        result = await self._presses.submit(
            self._who(body), str(body.get("view_id", "")), body.get("values") or {}
        )
        shown = asdict(result)
        return {key: value for key, value in shown.items() if value is not None}

    async def close_view(self, body: Document) -> Document:
        """Cancel a modal."""
        await self._presses.close(self._who(body), str(body.get("view_id", "")))
        return {}

    async def view_action(self, body: Document) -> Document:
        """Press or choose something in a modal or the home tab."""
        person, view_id = self._who(body), str(body.get("view_id", ""))
        view = self._presses.view_on_screen(person, view_id)
        found = _found(view.document["blocks"], body)
        await self._presses.click_view(person, view_id, found, _entered(body))
        return {}

    async def suggest(self, body: Document) -> Document:
        """Type into a menu the app fills."""
        person, view_id = self._who(body), str(body.get("view_id", ""))
        view = self._presses.view_on_screen(person, view_id)
        found = _found(view.document["blocks"], body)
        value = str(body.get("value", ""))
        return {"options": await self._presses.suggest(person, view_id, found, value)}

    async def shortcut(self, body: Document) -> Document:
        """Use a shortcut: of a message if one is named, else a global one."""
        callback_id = str(body.get("callback_id", ""))
        if not body.get("ts"):
            await self._acts.global_shortcut(self._who(body), callback_id)
            return {}
        await self._acts.shortcut(*self._where(body), str(body["ts"]), callback_id)
        return {}

    async def home(self, body: Document) -> Document:
        """Look at the home tab."""
        return {"view": await self._acts.open_home(self._who(body))}

    async def stop(self, body: Document) -> Document:
        """Press the native stop button."""
        await self._acts.press_stop(*self._where(body), str(body.get("thread_ts", "")))
        return {}

    async def join(self, body: Document) -> Document:
        """Invite the app into a channel."""
        await self._acts.set_member(*self._where(body), member=True)
        return {}

    async def leave(self, body: Document) -> Document:
        """Remove the app from a channel."""
        await self._acts.set_member(*self._where(body), member=False)
        return {}

    async def react(self, body: Document) -> Document:
        """Add a reaction."""
        ts, name = str(body.get("ts", "")), str(body.get("name", ""))
        await self._acts.react(*self._where(body), ts, name)
        return {}

    async def inspector(self, query: Document) -> Document:
        """The log after an entry."""
        after = int(query.get("after") or 0)
        entries = self._workspace.inspector.entries
        return {"entries": [asdict(each) for each in entries if each.n > after]}

    async def problems(self, _query: Document) -> Document:
        """What the real Slack would have complained of."""
        return {"problems": [asdict(each) for each in self._workspace.inspector.problems]}

    async def faults(self, body: Document) -> Document:
        """Make the next calls of a method go wrong."""
        self._faults.add(
            str(body["method"]),
            str(body["kind"]),
            times=int(body.get("times", 1)),
            retry_after=int(body.get("retry_after", 1)),
            channel=body.get("channel") or None,
            is_applied=bool(body.get("is_applied")),
            seconds=float(body.get("seconds", 1)),
        )
        return {}

    async def disconnect(self, body: Document) -> Document:
        """Trouble the Socket Mode connections."""
        times = float(body.get("times") or "inf")
        await self._sockets.disconnect(str(body.get("how", "refresh")), times=times)
        return {}

    async def clock(self, body: Document) -> Document:
        """Skip time."""
        self._workspace.clock.advance(float(body.get("advance", 0)))
        return {"now": self._workspace.clock.now()}

    async def reset(self, _body: Document) -> Document:
        """Start as on the first day."""
        self._reset()
        return {}

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The bytes of an uploaded file."""
        file = self._workspace.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound
        return web.Response(
            body=file.content,
            content_type="text/plain",
            charset="utf-8",
            headers={"X-Content-Type-Options": "nosniff"},
        )


def _found(blocks: list[Document], body: Document) -> interactions.Found:
    return interactions.find(
        blocks, action_id=body.get("action_id") or None, block_id=body.get("block_id") or None
    )


def _entered(body: Document) -> Document:
    return {name: body[name] for name in _ENTERED if name in body}


def _posted(act: Act) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body: Any = await request.json() if request.can_read_body else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return web.json_response({"ok": False, "error": "invalid_json"}, status=400)
        return await _told(act, body)

    return handle


def _asked(look: Act) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await _told(look, dict(request.query))

    return handle


async def _told(act: Act, given: Document) -> web.StreamResponse:
    try:
        return web.json_response({"ok": True, **await act(given)})
    except HumanRefused as refused:
        return web.json_response({"ok": False, "error": refused.error, "detail": str(refused)})
    except (KeyError, ValueError) as wrong:
        answer = {"ok": False, "error": "bad_request", "detail": repr(wrong)}
        return web.json_response(answer, status=400)
