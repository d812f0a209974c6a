"""What Slack's error names mean for a message that should be shown."""

from enum import Enum, auto


class RefusalKind(Enum):
    """What a refused call means."""

    PLACE_LOST = auto()
    THREAD_CLOSED = auto()
    MESSAGE_LOST = auto()
    MESSAGE_FROZEN = auto()
    CONTENT_REFUSED = auto()
    FILE_REFUSED = auto()
    BOT_BLOCKED = auto()
    TRANSIENT = auto()


_ERROR_NAMES: dict[RefusalKind, frozenset[str]] = {
    # Nothing can be shown in this channel any more.
    RefusalKind.PLACE_LOST: frozenset(
        {
            "channel_not_found",
            "not_in_channel",
            "is_archived",
            "is_inactive",
            "restricted_action",
            "restricted_action_read_only_channel",
            "restricted_action_thread_only_channel",
            "restricted_action_non_threadable_channel",
            "user_not_found",
            "cannot_dm_bot",
            "channel_is_limited_access",
            "invalid_channel",
            "invalid_user_combination",
            "method_not_supported_for_channel_type",
            "user_disabled",
            "user_not_visible",
            "users_list_not_supplied",
            "users_not_found",
            "messages_tab_disabled",
        }
    ),
    # The channel exists, but this thread accepts no replies.
    RefusalKind.THREAD_CLOSED: frozenset(
        {
            "restricted_action_thread_locked",
            "cannot_reply_to_message",
            "thread_not_found",
            "invalid_thread_ts",
        }
    ),
    # The message was deleted.
    RefusalKind.MESSAGE_LOST: frozenset({"message_not_found"}),
    # The message is there, but the bot may not change it, whatever the content.
    RefusalKind.MESSAGE_FROZEN: frozenset(
        {
            "block_mismatch",
            "cant_broadcast_message",
            "cant_update_message",
            "edit_window_closed",
            "file_deleted",
            "file_is_deleted",
            "file_not_found",
            "no_dual_broadcast_content_update",
            "streaming_state_conflict",
        }
    ),
    # A message that breaks a rule of Slack's: a defect of Signalbox.
    RefusalKind.CONTENT_REFUSED: frozenset(
        {
            "invalid_blocks",
            "invalid_blocks_format",
            "invalid_arguments",
            "msg_too_long",
            "msg_blocks_too_long",
            "msg_blocks_too_many",
            "no_text",
            "invalid_attachments",
            "too_many_attachments",
            "attachment_payload_limit_exceeded",
            "markdown_text_conflict",
            "invalid_metadata_format",
            "invalid_metadata_schema",
            "metadata_too_large",
            "metadata_must_be_sent_from_app",
        }
    ),
    # This workspace accepts no files, or not this file.
    RefusalKind.FILE_REFUSED: frozenset(
        {
            "channels_limit_exceeded",
            "file_share_limit_reached",
            "file_type_not_allowed",
            "file_upload_size_restricted",
            "file_uploads_disabled",
            "file_uploads_except_images_disabled",
            "posting_to_channel_denied",
            "snippet_too_large",
            "storage_limit_reached",
        }
    ),
    # No call works until an admin repairs the installation.
    RefusalKind.BOT_BLOCKED: frozenset(
        {
            "app_access_restricted",
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "missing_scope",
            "not_allowed_token_type",
            "no_permission",
            "ekm_access_denied",
            "org_login_required",
            "team_access_not_granted",
            "team_not_found",
            "message_limit_exceeded",
            "access_denied",
        }
    ),
}


# A shorter message may be accepted after these.
TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long", "msg_blocks_too_many"})


def refusal_kind(name: str) -> RefusalKind:
    """What an error name means; an unknown name counts as transient."""
    return next(
        (kind for kind, names in _ERROR_NAMES.items() if name in names), RefusalKind.TRANSIENT
    )
