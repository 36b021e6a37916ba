"""Messages: the table of topics, the payloads, and the composer that makes them from records (pure)."""

from edgemon.messages.compose import Composer, Stamp, decode, encode, schema_id
from edgemon.messages.topics import MAX_PAYLOAD_BYTES, ROOT, TOPICS, Address, Rank, Topic, address

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "ROOT",
    "TOPICS",
    "Address",
    "Composer",
    "Rank",
    "Stamp",
    "Topic",
    "address",
    "decode",
    "encode",
    "schema_id",
]
