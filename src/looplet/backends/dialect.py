"""Which parameters this server understands: a refusal teaches it once, and the request is sent again without."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Collection

    from looplet.backends.provider_errors import Complaint

_REFUSED = re.compile(
    r"unsupported|not support|n't support|unrecognized|unknown|unexpected|not permitted|not allowed|forbidden"
    r"|unavailable|deprecated|removed|no longer"
)
_SCHEMA = re.compile(r"response_format|json.?schema|grammar")
_LIMITS = ("max_tokens", "max_completion_tokens")


class Dialect(Record):
    """What is known so far. `limit` is the name of the reply limit, None when every name was refused."""

    limit: str | None = "max_tokens"
    refused: tuple[str, ...] = ()

    def spell(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Name the reply limit as the server does, leave out what it refuses."""
        spelt = dict(parameters)
        limit = spelt.pop("max_tokens", None)
        if limit is not None and self.limit is not None:
            spelt[self.limit] = limit
        return {name: value for name, value in spelt.items() if name not in self.refused}

    def learn(self, complaint: Complaint, sent: Collection[str]) -> Dialect | None:
        """Return a dialect without the parameter this complaint refuses; None when it refuses none that was sent."""
        if complaint.status not in (400, 422):
            return None
        name = _refused_parameter(complaint, sent)
        if name is None:
            return None
        if name in _LIMITS:
            other = _LIMITS[1 - _LIMITS.index(name)]
            return self.replace(limit=None if other in self.refused else other, refused=(*self.refused, name))
        return self.replace(refused=(*self.refused, name))


def _refused_parameter(complaint: Complaint, sent: Collection[str]) -> str | None:
    message = complaint.message.lower()
    if "response_format" in sent and _SCHEMA.search(message):
        return "response_format"  # also when only this schema is beyond the server: the request works without
    if not _REFUSED.search(f"{complaint.code} {message}"):
        return None
    names = [name for name in sent if name not in ("model", "messages", "tools")]
    if complaint.param.split(".")[0] in names:
        return complaint.param.split(".")[0]
    # the name that comes first: "'max_tokens' is not supported, use 'max_completion_tokens'"
    found = [(match.start(), name) for name in names if (match := re.search(rf"\b{re.escape(name)}\b", message))]
    return min(found)[1] if found else None
