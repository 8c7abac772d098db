"""What the commands show to a server: from the environment, as command lines can be seen."""

import os
from typing import Any

from guard_service.client.connection import Tls


def shown() -> dict[str, Any]:
    """Arguments of a client, from GUARD_API_KEY and GUARD_CA."""
    ca = os.environ.get("GUARD_CA")
    return {"api_key": os.environ.get("GUARD_API_KEY"), "tls": Tls(ca=ca) if ca else False}
