"""An event function of Open WebUI: whoever signs out is signed out everywhere.

Open WebUI itself only forgets the cookie; whoever has a copy of it could go on until the session is over.
"""

from typing import Any

from open_webui.utils.auth import revoke_user_tokens


class Event:
    """What Open WebUI looks for in such a function."""

    async def event(self, event: dict[str, Any]) -> None:
        """End the sessions of the account that has signed out."""
        if event["event"] == "auth.logout" and event["subject"]:
            await revoke_user_tokens(None, event["subject"]["id"])
