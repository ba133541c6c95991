"""The JSON documents in which the API shows a session (DESIGN 4.2, 4.7)."""

from __future__ import annotations

from typing import Any

import msgspec

from rtserver.event import format_timestamp
from rtserver.records import SessionRecord

# Which tier can show what: sent whole, so that a client shows and hides as the tier changes (DESIGN 4.7).
FEATURES: dict[str, dict[str, object]] = {
    "sse": {
        "typingIndicators": True,
        "instantMessages": "enabled",
        "participantStatus": "real_time",
        "aiProgress": "live_updates",
    },
    "long-poll": {
        "typingIndicators": False,
        "instantMessages": "2-5_second_delay",
        "participantStatus": "near_real_time",
        "aiProgress": "periodic_updates",
    },
    "short-poll": {
        "typingIndicators": False,
        "instantMessages": "5-10_second_delay",
        "participantStatus": "polling_based",
        "aiProgress": "status_only",
    },
}


def features(typing_indicators: bool) -> dict[str, dict[str, object]]:
    """Return the matrix of DESIGN 4.7; without typing indicators no tier offers them."""
    if typing_indicators:
        return FEATURES
    return {tier: row | {"typingIndicators": False} for tier, row in FEATURES.items()}


def session_document(
    record: SessionRecord, participant_count: int, features: dict[str, dict[str, object]]
) -> dict[str, Any]:
    """Return the snapshot that a client starts from."""
    return {
        "sessionId": record.session_id,
        "status": record.status,
        "metadata": msgspec.Raw(record.metadata),
        "createdAt": format_timestamp(record.created_at_us),
        "updatedAt": format_timestamp(record.updated_at_us),
        "participantCount": participant_count,
        "lastEventId": record.last_event_id,
        "lastSequence": record.last_sequence,
        "lastModified": format_timestamp(record.last_timestamp_us),
        "features": features,
    }
