"""Every error that edgemon raises on purpose::

EdgemonError                    one line for the operator: what, where, what would be right
├── ConfigError                 the configuration file (exit 2)
├── SourceError                 the camera, file or stream (exit 3)
│   ├── SourceUnavailable       cannot be opened
│   ├── SourceUndecodable       opened, but holds no readable picture
│   └── SourceLost              gave frames and then failed
├── ModelError                  a model file or its manifest (exit 4)
├── DeliveryError               broker, outbox or credentials (exit 5)
│   ├── StorageFull             the disk cannot take one more durable message
│   └── StoreUnavailable        the station's store cannot be read or written now
├── CommandRefused              a command that names the wrong bed, revision or time
├── IllegalTransition           an alarm was asked to make a move that its table forbids
└── WorkerStuck                 a thread did not stop when told to (exit 6)
"""


class EdgemonError(Exception):
    """Base of all errors that are told to the operator as one line; never raised itself."""

    exit_code = 1


class ConfigError(EdgemonError, ValueError):
    """The configuration is wrong; the text holds file, line, column, the value and what would be right."""

    exit_code = 2


class SourceError(EdgemonError, OSError):
    """A frame source failed."""

    exit_code = 3


class SourceUnavailable(SourceError):
    """The source cannot be opened."""


class SourceUndecodable(SourceError):
    """The source was opened but holds no picture that can be decoded."""


class SourceLost(SourceError):
    """The source delivered frames and then failed."""


class ModelError(EdgemonError, ValueError):
    """A model file or its manifest cannot be trusted or used."""

    exit_code = 4


class DeliveryError(EdgemonError, OSError):
    """Messages cannot be stored or handed to the broker."""

    exit_code = 5


class StorageFull(DeliveryError):
    """The disk cannot take one more durable message."""


class StoreUnavailable(DeliveryError):
    """The station's store cannot be read or written: locked, full, away, or not what it should be."""


class CommandRefused(EdgemonError, ValueError):
    """A command was refused and nothing was changed; the text is the reason that goes back to the station."""


class IllegalTransition(EdgemonError, ValueError):
    """The alarm table forbids this move; the alarm is unchanged."""


class WorkerStuck(EdgemonError, RuntimeError):
    """A thread did not end in its time."""

    exit_code = 6
