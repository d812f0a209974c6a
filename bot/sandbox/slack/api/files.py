"""files.*: an upload in three steps that ends in a message with the file."""

from typing import Any

from bot.sandbox.slack.api.call import Call, Handler
from bot.sandbox.slack.api.chat import publish, thread_fields, writable_channel
from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.people import BOT_USER_ID
from bot.sandbox.slack.state import Document, StoredFile, Workspace, new_id

# Snippets are limited to 1 MB.
MAX_SNIPPET_BYTES = 1_000_000
PREVIEW_CHARS = 1_000
TEXT = "text/plain"
_PNG = b"\x89PNG\r\n\x1a\n"


def get_upload_url(call: Call) -> Document:
    """files.getUploadURLExternal."""
    length = call.text("length")
    if not length.isdecimal() or not int(length):
        raise invalid("invalid_arguments", ["must be more than 0 [json-pointer:/length]"])
    if call.text("snippet_type") and int(length) > MAX_SNIPPET_BYTES:
        raise WebApiError("snippet_too_large")
    file = StoredFile(
        id=new_id("F"),
        name=call.text("filename"),
        length=int(length),
        snippet_type=call.text("snippet_type") or None,
        alt=call.text("alt_txt") or None,
    )
    call.workspace.files[file.id] = file
    return {"upload_url": f"{call.url}/upload/{file.id}", "file_id": file.id}


def store_upload(workspace: Workspace, file_id: str, content: bytes) -> bool:
    """Store the bytes of an announced file; False if no upload has this id."""
    file = workspace.files.get(file_id)
    if file is None or file.is_shared:
        return False
    file.content = content
    if len(content) != file.length:
        workspace.inspector.add_problem(
            "upload_length", file.name, f"announced {file.length} bytes, sent {len(content)}"
        )
    return True


def complete_upload(call: Call) -> Document:
    """files.completeUploadExternal: share the files, in a thread if one is given."""
    workspace = call.workspace
    requested: Any = call.nested("files")
    if not isinstance(requested, list) or not requested:
        raise invalid("invalid_arguments", ["must provide an array [json-pointer:/files]"])
    files: list[StoredFile] = []
    for each in requested:
        file = workspace.files.get(str(each.get("id"))) if isinstance(each, dict) else None
        if file is None or file.content is None:
            raise WebApiError("file_not_found")
        file.title = each.get("title") or file.name
        files.append(file)
    file_objects = [file_object(file, call.url) for file in files]
    if call.text("channel_id"):
        call.args["channel"] = call.text("channel_id")
        channel = writable_channel(call)
        message = workspace.bot_author() | {
            "ts": workspace.new_ts(),
            "text": call.text("initial_comment"),
            "files": file_objects,
            "upload": True,
        }
        message |= thread_fields(workspace, channel, call.text("thread_ts"))
        publish(workspace, channel, message)
    for file in files:
        file.is_shared = True
    return {"files": file_objects}


def file_object(file: StoredFile, url: str) -> Document:
    """A file object as messages contain it."""
    content = file.content or b""
    kind = file.snippet_type or file.name.rpartition(".")[2] or "text"
    link = f"{url}/_emu/files/{file.id}"
    if mimetype_of(file) != TEXT:
        shown: Document = {"alt_txt": file.alt} if file.alt else {}
    else:
        shown = {
            "preview": content[:PREVIEW_CHARS].decode(errors="replace"),
            "lines": content.count(b"\n") + 1,
        }
    return {
        "id": file.id,
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": mimetype_of(file),
        "filetype": kind,
        "pretty_type": kind.capitalize(),
        "user": BOT_USER_ID,
        "editable": True,
        "size": len(content),
        "mode": "snippet" if file.snippet_type else "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": link,
        "url_private_download": link,
        "permalink": link,
        **shown,
    }


def mimetype_of(file: StoredFile) -> str:
    """What a file is, by its first bytes."""
    return "image/png" if (file.content or b"").startswith(_PNG) else TEXT


HANDLERS: dict[str, Handler] = {
    "files.completeUploadExternal": complete_upload,
    "files.getUploadURLExternal": get_upload_url,
}
