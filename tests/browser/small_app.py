"""A small app on the sandbox that gives the page something of everything to show."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack.server import Sandbox
from tests.sandbox import new_app

Document = dict[str, Any]


def _plain(text: str) -> Document:
    return {"type": "plain_text", "text": text}


def _mrkdwn(text: str) -> Document:
    return {"type": "mrkdwn", "text": text}


def _button(label: str, action_id: str, **more: Any) -> Document:
    return {"type": "button", "text": _plain(label), "action_id": action_id, "value": "1", **more}


def _option(text: str) -> Document:
    return {"text": _plain(text), "value": text.lower()}


def card(task: str, *, is_live: bool) -> list[Document]:
    """A run's card; its button asks for a confirmation."""
    kill = _button(
        "Kill",
        "kill",
        style="danger",
        confirm={
            "title": _plain("Kill this run?"),
            "text": _plain("Its work so far is kept."),
            "confirm": _plain("Kill it"),
            "deny": _plain("Let it run"),
            "style": "danger",
        },
    )
    more = {
        "type": "overflow",
        "action_id": "more",
        "options": [_option("Logs"), _option("Diff")],
    }
    turns = {
        "type": "static_select",
        "action_id": "turns",
        "placeholder": _plain("Continue"),
        "options": [_option("10 turns"), _option("20 turns")],
    }
    return [
        {"type": "header", "text": _plain("Running · builder" if is_live else "Killed · builder")},
        {"type": "section", "text": _mrkdwn(f">{task}")},
        {"type": "section", "fields": [_mrkdwn("*Turns*\n3 of 30"), _mrkdwn("*Cost*\n$0.12")]},
        {"type": "context", "elements": [_mrkdwn("`run_0123456789ab`")]},
        {"type": "actions", "elements": [kill, more] if is_live else [turns]},
    ]


def form() -> Document:
    """A modal with a field of each important type."""

    def field(block_id: str, label: str, element: Document, **more: Any) -> Document:
        named = {"action_id": "value", **element}
        return {
            "type": "input",
            "block_id": block_id,
            "label": _plain(label),
            "element": named,
            **more,
        }

    workflows = [_option("Builder"), _option("Guardian")]
    return {
        "type": "modal",
        "callback_id": "form",
        "title": _plain("Run a workflow"),
        "submit": _plain("Run"),
        "close": _plain("Cancel"),
        "blocks": [
            field("workflow", "Workflow", {"type": "static_select", "options": workflows}),
            field("task", "Task", {"type": "plain_text_input", "multiline": True}),
            field(
                "repo",
                "Repository",
                {"type": "external_select", "min_query_length": 1},
                optional=True,
            ),
            field(
                "turns",
                "Turns",
                {
                    "type": "number_input",
                    "is_decimal_allowed": False,
                    "min_value": "1",
                    "max_value": "100",
                },
                optional=True,
            ),
            field("where", "Where", {"type": "conversations_select"}, optional=True),
            field(
                "how",
                "How",
                {"type": "checkboxes", "options": [_option("Quietly"), _option("Quickly")]},
                optional=True,
            ),
        ],
    }


def small_app(sandbox: Sandbox) -> AsyncApp:
    """The app; connect it with `tests.sandbox.connected`."""
    app = new_app(sandbox)
    app.command("/workflow")(on_command)
    app.action("kill")(on_kill)
    app.action("more")(on_choice)
    app.action("turns")(on_choice)
    app.action("from_home")(open_form)
    app.shortcut("run_on_message")(open_form)
    app.options("value")(on_options)
    app.view("form")(on_form)
    app.event("app_mention")(on_mention)
    app.event("app_home_opened")(on_home)
    app.event("message")(on_message)
    return app


async def on_command(
    ack: AsyncAck, body: Document, client: AsyncWebClient, respond: AsyncRespond
) -> None:
    verb, _, rest = body["text"].partition(" ")
    channel = body["channel_id"]
    if verb == "silence":
        return
    await ack()
    if verb == "":
        await client.views_open(trigger_id=body["trigger_id"], view=form())
    elif verb == "run":
        await _run(client, channel, rest)
    elif verb == "echo":
        section = {"type": "section", "text": _mrkdwn(rest)}
        await client.chat_postMessage(channel=channel, text="echo", blocks=[section])
    elif verb == "markdown":
        block = {"type": "markdown", "text": rest}
        await client.chat_postMessage(channel=channel, text="echo", blocks=[block])
    else:
        await respond(text=f"No runs match `{verb}`.")


async def on_kill(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
    await ack()
    await client.chat_update(
        channel=body["channel"]["id"],
        ts=body["message"]["ts"],
        text="Killed",
        blocks=card("the task", is_live=False),
    )


async def on_choice(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
    await ack()
    chosen = body["actions"][0]["selected_option"]["text"]["text"]
    await client.chat_postMessage(
        channel=body["channel"]["id"],
        thread_ts=body["message"]["ts"],
        text=f"You chose {chosen}.",
    )


async def open_form(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
    await ack()
    await client.views_open(trigger_id=body["trigger_id"], view=form())


async def on_options(ack: AsyncAck, body: Document) -> None:
    await ack(options=[_option(f"acme/{body['value']}-{name}") for name in ("api", "web")])


async def on_form(ack: AsyncAck, body: Document, client: AsyncWebClient) -> None:
    entered = body["view"]["state"]["values"]
    task = entered["task"]["value"]["value"]
    if len(task) < 10:
        errors = {"task": "Say what should be true at the end."}
        await ack(response_action="errors", errors=errors)
        return
    if task.startswith("push "):
        await ack(response_action="push", view={**form(), "title": _plain("One more")})
        return
    await ack()
    fields = {key: value["value"] for key, value in entered.items()}
    repo = (fields["repo"]["selected_option"] or {}).get("value")
    chosen = fields["workflow"]["selected_option"]["value"]
    how = [one["value"] for one in fields["how"]["selected_options"]]
    await client.chat_postMessage(
        channel="#builds",
        text=f"form: {chosen}, {task!r}, {repo}, {fields['turns']['value']}, {how}",
    )


async def on_mention(event: Document, client: AsyncWebClient) -> None:
    await client.chat_postMessage(
        channel=event["channel"],
        thread_ts=event.get("thread_ts", event["ts"]),
        text=f"<@{event['user']}>, I received your message.",
    )


async def on_home(event: Document, client: AsyncWebClient) -> None:
    blocks: list[Document] = [
        {"type": "header", "text": _plain("Your runs")},
        {"type": "actions", "elements": [_button("Run a workflow", "from_home")]},
    ]
    await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})


async def on_message(ack: AsyncAck) -> None:
    await ack()


async def _run(client: AsyncWebClient, channel: str, task: str) -> None:
    posted = await client.chat_postMessage(
        channel=channel, text="Running", blocks=card(task, is_live=True)
    )
    ts = posted["ts"]
    await client.chat_postMessage(channel=channel, thread_ts=ts, text="*Step 1* is done.")
    diff = "\n".join(f"+line {number}" for number in range(1, 21))
    await client.files_upload_v2(
        channel=channel,
        thread_ts=ts,
        filename="changes.diff",
        content=f"--- a/api.py\n+++ b/api.py\n{diff}\n",
        initial_comment="What it changed",
    )
