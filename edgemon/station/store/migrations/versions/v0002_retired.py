"""Devices can be retired; the newest commands are found without reading all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """A table of the retired, and an index of commands by when they were asked for."""
    op.create_table(
        "retired", sa.Column("base", sa.Text(), primary_key=True), sa.Column("at_ms", sa.BigInteger(), nullable=False)
    )
    op.create_index("command_asked", "command", ["asked_ms"])
