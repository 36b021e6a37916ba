"""The newest commands are found without reading all of them."""

from __future__ import annotations

from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Index them by when they were asked for."""
    op.create_index("command_asked", "command", ["asked_ms"])
