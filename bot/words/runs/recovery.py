"""Words about recovery legs, the same on every surface; plain text."""

from __future__ import annotations

RECOVERY_LABEL = "recovery"
# What a person decides about before one is started.
RECOVERY_OFFER = (
    "The conversation of this session cannot be restored, so its agent would not remember it. A "
    "recovery leg begins a new conversation with a summary of what is stored of the old one, and "
    "works on the files as they are."
)
# The same where the conversation is only suspected.
RECOVERY_CHOICE = (
    "A recovery leg leaves this conversation behind: it begins a new one with a summary of what is "
    "stored of it, and works on the files as they are."
)
# What is said of one that was started.
RECOVERY_BEGUN = (
    "A recovery leg: the conversation could not be restored. The agent was given a summary of what "
    "is stored of it, and works on the files as they are."
)
