"""The control API under /_emu/, for the demo page and black-box tests.

Everything is JSON; a refused request gets `{"ok": false, "error": …}`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from bot.sandbox.slack.api.files import TEXT, mimetype_of
from bot.sandbox.slack.delivery.socket_mode import SocketMode
from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.people import Channel, Person
from bot.sandbox.slack.person import interactions, screens
from bot.sandbox.slack.person.actions import PersonActions
from bot.sandbox.slack.person.block_interactions import BlockInteractions
from bot.sandbox.slack.state import Document

Operation = Callable[[Document], Awaitable[Document]]

# The fields of an entry of `actions` that come from the values the page sends.
_ENTRY_FIELDS = (
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


class ControlApi:
    """The routes of the control API."""

    def __init__(
        self,
        *,
        actions: PersonActions,
        block_interactions: BlockInteractions,
        faults: Faults,
        sockets: SocketMode,
        reset: Callable[[], None],
    ) -> None:
        self._actions = actions
        self._block_interactions = block_interactions
        self._faults = faults
        self._sockets = sockets
        self._reset = reset
        self._workspace = actions.workspace

    def add_routes(self, app: web.Application) -> None:
        """Register the routes."""
        for path, operation in {
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
            app.router.add_post(f"/_emu/{path}", _post_handler(operation))
        for path, query in {
            "state": self.state,
            "messages": self.messages,
            "thread": self.thread,
            "inspector": self.inspector,
            "problems": self.problems,
        }.items():
            app.router.add_get(f"/_emu/{path}", _get_handler(query))
        app.router.add_get("/_emu/files/{file}", self.file)

    def _person(self, body: Document) -> Person:
        return self._workspace.person(body.get("user") or None)

    def _person_and_channel(self, body: Document) -> tuple[Person, Channel]:
        return self._person(body), self._workspace.channel(str(body.get("channel", "")))

    async def state(self, query: Document) -> Document:
        """The team as one person sees it."""
        return screens.state(self._workspace, self._person(query))

    async def messages(self, query: Document) -> Document:
        """A channel as one person sees it."""
        return {"messages": screens.messages(self._workspace, *self._person_and_channel(query))}

    async def thread(self, query: Document) -> Document:
        """A thread as one person sees it."""
        person, channel = self._person_and_channel(query)
        ts = str(query.get("ts", ""))
        return {"messages": screens.thread(self._workspace, person, channel, ts)}

    async def say(self, body: Document) -> Document:
        """Write a message."""
        message = await self._actions.say(
            *self._person_and_channel(body),
            str(body.get("text", "")),
            thread_ts=body.get("thread_ts"),
        )
        return {"ts": message["ts"]}

    async def slash(self, body: Document) -> Document:
        """Send a slash command."""
        result = await self._actions.slash(
            *self._person_and_channel(body),
            str(body.get("command", "")),
            str(body.get("text", "")),
            from_thread=bool(body.get("thread_ts")),
        )
        result_fields: Document = {"ok": result.ok, "ack_ms": round(result.ack_ms)}
        if result.error:
            result_fields["error"] = result.error
        if result.response_text is not None:
            result_fields["response_text"] = result.response_text
        return result_fields

    async def click(self, body: Document) -> Document:
        """Press or choose something in a message."""
        person, channel = self._person_and_channel(body)
        ts = str(body.get("ts", ""))
        message, _ = self._block_interactions.message_on_screen(person, channel, ts)
        found = _find_element(message.get("blocks", []), body)
        await self._block_interactions.click(person, channel, ts, found, _entry_of(body))
        return {}

    async def submit(self, body: Document) -> Document:
        """Submit a modal."""
        result = await self._block_interactions.submit(
            self._person(body), str(body.get("view_id", "")), body.get("values") or {}
        )
        result_fields = asdict(result)
        return {key: value for key, value in result_fields.items() if value is not None}

    async def close_view(self, body: Document) -> Document:
        """Cancel a modal."""
        await self._block_interactions.close(self._person(body), str(body.get("view_id", "")))
        return {}

    async def view_action(self, body: Document) -> Document:
        """Press or choose something in a modal or the home tab."""
        person, view_id = self._person(body), str(body.get("view_id", ""))
        view = self._block_interactions.view_on_screen(person, view_id)
        found = _find_element(view.document["blocks"], body)
        await self._block_interactions.click_view(person, view_id, found, _entry_of(body))
        return {}

    async def suggest(self, body: Document) -> Document:
        """Type into a menu the app fills."""
        person, view_id = self._person(body), str(body.get("view_id", ""))
        view = self._block_interactions.view_on_screen(person, view_id)
        found = _find_element(view.document["blocks"], body)
        value = str(body.get("value", ""))
        return {"options": await self._block_interactions.suggest(person, view_id, found, value)}

    async def shortcut(self, body: Document) -> Document:
        """Use a shortcut: of a message if one is named, else a global one."""
        callback_id = str(body.get("callback_id", ""))
        if not body.get("ts"):
            await self._actions.global_shortcut(self._person(body), callback_id)
            return {}
        await self._actions.shortcut(*self._person_and_channel(body), str(body["ts"]), callback_id)
        return {}

    async def home(self, body: Document) -> Document:
        """Open the home tab."""
        return {"view": await self._actions.open_home(self._person(body))}

    async def stop(self, body: Document) -> Document:
        """Press the native stop button."""
        await self._actions.press_stop(
            *self._person_and_channel(body), str(body.get("thread_ts", ""))
        )
        return {}

    async def join(self, body: Document) -> Document:
        """Invite the app into a channel."""
        await self._actions.set_member(*self._person_and_channel(body), member=True)
        return {}

    async def leave(self, body: Document) -> Document:
        """Remove the app from a channel."""
        await self._actions.set_member(*self._person_and_channel(body), member=False)
        return {}

    async def react(self, body: Document) -> Document:
        """Add a reaction."""
        ts, name = str(body.get("ts", "")), str(body.get("name", ""))
        await self._actions.add_reaction(*self._person_and_channel(body), ts, name)
        return {}

    async def inspector(self, query: Document) -> Document:
        """The log entries after a given one."""
        after = int(query.get("after") or 0)
        entries = self._workspace.inspector.entries
        return {"entries": [asdict(each) for each in entries if each.n > after]}

    async def problems(self, _query: Document) -> Document:
        """Everything that the real Slack would have refused."""
        return {"problems": [asdict(each) for each in self._workspace.inspector.problems]}

    async def faults(self, body: Document) -> Document:
        """Make the next calls of a method fail."""
        self._faults.add(
            str(body["method"]),
            str(body["kind"]),
            times=int(body.get("times", 1)),
            retry_after=body.get("retry_after", 1),
            channel=body.get("channel") or None,
            ts=body.get("ts") or None,
            lasts=body.get("lasts"),
            is_applied=bool(body.get("is_applied")),
            seconds=float(body.get("seconds", 1)),
        )
        return {}

    async def disconnect(self, body: Document) -> Document:
        """Disturb the Socket Mode connections."""
        times = float(body.get("times") or "inf")
        await self._sockets.disconnect(str(body.get("how", "refresh")), times=times)
        return {}

    async def clock(self, body: Document) -> Document:
        """Skip time."""
        self._workspace.clock.advance(float(body.get("advance", 0)))
        return {"now": self._workspace.clock.now()}

    async def reset(self, _body: Document) -> Document:
        """Restore the initial state."""
        self._reset()
        return {}

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The bytes of an uploaded file."""
        file = self._workspace.files.get(request.match_info["file"])
        if file is None or file.content is None:
            raise web.HTTPNotFound
        return web.Response(
            body=file.content,
            content_type=(mimetype := mimetype_of(file)),
            charset="utf-8" if mimetype == TEXT else None,
            headers={"X-Content-Type-Options": "nosniff"},
        )


def _find_element(blocks: list[Document], body: Document) -> interactions.FoundElement:
    return interactions.find_element(
        blocks, action_id=body.get("action_id") or None, block_id=body.get("block_id") or None
    )


def _entry_of(body: Document) -> Document:
    return {name: body[name] for name in _ENTRY_FIELDS if name in body}


def _post_handler(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body: Any = await request.json() if request.can_read_body else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return web.json_response({"ok": False, "error": "invalid_json"}, status=400)
        return await _respond(operation, body)

    return handle


def _get_handler(query: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await _respond(query, dict(request.query))

    return handle


async def _respond(operation: Operation, arguments: Document) -> web.StreamResponse:
    try:
        return web.json_response({"ok": True, **await operation(arguments)})
    except ActionRefused as refused:
        return web.json_response({"ok": False, "error": refused.error, "detail": str(refused)})
    except (KeyError, ValueError) as error:
        answer = {"ok": False, "error": "bad_request", "detail": repr(error)}
        return web.json_response(answer, status=400)
