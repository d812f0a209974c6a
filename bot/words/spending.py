"""What agent processes cost together: reported, estimated and unknown, each apart."""

from __future__ import annotations

from bot.words import counts, money
from core.domain.sessions.ledger import LedgerSum


def spent_words(spent: LedgerSum) -> str:
    """The cost in words: `$0.12 reported, $0.03 estimated, unknown for 1 agent process`."""
    parts = []
    if spent.reported:
        parts.append(f"{money.dollars(spent.reported_usd)} reported")
    if spent.estimated:
        parts.append(f"{money.dollars(spent.estimated_usd)} estimated")
    if spent.unknown and not parts:
        return "unknown"
    if spent.unknown:
        parts.append(
            f"unknown for {counts.plural(spent.unknown, 'agent process', 'agent processes')}"
        )
    return ", ".join(parts) or "none yet"


def spent_figures(spent: LedgerSum) -> str:
    """The same for lists: `$0.12 + ~$0.03 + 1 unknown`; empty if no agent has begun."""
    parts = []
    if spent.reported:
        parts.append(money.dollars(spent.reported_usd))
    if spent.estimated:
        parts.append(f"~{money.dollars(spent.estimated_usd)}")
    if spent.unknown and not parts:
        return "cost unknown"
    if spent.unknown:
        parts.append(f"{spent.unknown} unknown")
    return " + ".join(parts)


def spent_tokens(spent: LedgerSum) -> str:
    """The tokens, and for how many processes they are unknown; empty if no agent has begun."""
    if not spent.processes:
        return ""
    if spent.unknown_usage == spent.processes:
        return "tokens unknown"
    words = counts.tokens(spent.usage, is_estimated=spent.estimated > 0)
    unknown = f", unknown for {spent.unknown_usage}" if spent.unknown_usage else ""
    return f"{words}{unknown}"
