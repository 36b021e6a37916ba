"""What the station may be told: a YAML file in which everything has a default, and unknown keys are errors."""

from __future__ import annotations

import ipaddress
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from edgemon.config import Mqtt, Name, Settings, resolved_mqtt, validated
from edgemon.errors import ConfigError
from edgemon.messages.credentials import secret
from edgemon.station.nouns import ROLES, Auth, Role

Level = Annotated[str, StringConstraints(pattern=r"^(\+|[A-Za-z0-9_.:@-]{1,128})$")]
StationRole = Literal["ingest", "rules", "web"]
ALL: tuple[StationRole, ...] = ("ingest", "rules", "web")
NO_ZONES = {"Factory", "localtime"}  # this machine knows them, browsers do not
SAME: dict[str, Role] = {role: role for role in ROLES}


class Http(Settings):
    """Where browsers find the station; a certificate and its key make it https."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535, description="0: any that is free")
    cert_file: Path | None = None
    key_file: Path | None = None
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[a-z0-9.:\[\]-]+$",
        description="how browsers reach it, where that is by another name or through a proxy",
    )

    @model_validator(mode="after")
    def _pair(self) -> Http:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        return self

    @property
    def tls(self) -> bool:
        """Whether browsers speak https, to the station or to the proxy before it."""
        return self.cert_file is not None or (self.public_url or "").startswith("https:")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Oidc(Settings):
    """The hospital's login; `roles` tells which role each value of the claim has here."""

    issuer: str = Field(
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])\S+$",
        description="https://..., without /.well-known/openid-configuration",
    )
    client_id: str
    client_secret_file: Path
    role_claim: str = "roles"
    roles: dict[str, Role] = Field(default_factory=lambda: dict(SAME))


class StationConfig(Settings):
    """The whole configuration of a station; replicas of one station share all but `roles` and `http`."""

    name: Name = Field("station", description="signs receipts and commands")
    site: Level = Field("+", description="+: every site that the broker carries")
    unit: Level = "+"
    mqtt: Mqtt = Mqtt()
    share: bool = Field(False, description="several ingest processes share the messages (MQTT 5, PostgreSQL)")
    store_url: str = Field("sqlite:///station.db", description="sqlite:///FILE | postgresql://USER@HOST/DATABASE")
    store_password_file: Path | None = None
    roles: tuple[StationRole, ...] = Field(ALL, min_length=1)
    http: Http = Http()
    auth: Auth = Field("local", description="open: everybody is demo, who may acknowledge; on loopback only")
    oidc: Oidc | None = None
    session_h: float = Field(12.0, gt=0, le=168, description="a login ends after as long")
    silence_s: float = Field(45.0, ge=5, le=600, description="nothing heard for as long is an alarm")
    raw_h: float = Field(2.0, ge=0.5, le=72, description="heart rates by the second are kept for as long")
    history_days: float = Field(30.0, ge=1, le=3650)
    language: str = Field("en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    timezone: str | None = Field(None, description="in which pages tell times, such as Europe/Berlin; the browser's")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str | None) -> str | None:
        if name is not None and name not in zoneinfo.available_timezones() - NO_ZONES:
            raise ValueError("no IANA time zone that this machine knows; give one such as Europe/Berlin or UTC")
        return name

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, url: str) -> str:
        try:
            parts = make_url(url)
        except ArgumentError as error:
            raise ValueError("not an address of a store; give sqlite:///FILE or postgresql://USER@HOST/NAME") from error
        if parts.password is not None:
            raise ValueError("a password belongs into store_password_file, never into the address")
        if parts.drivername not in ("sqlite", "postgresql"):
            raise ValueError("a store is sqlite:///FILE or postgresql://USER@HOST/NAME")
        if parts.drivername == "sqlite" and parts.database in (None, "", ":memory:"):
            raise ValueError("a store of SQLite is a file: sqlite:///station.db")
        return url

    @model_validator(mode="after")
    def _fits(self) -> StationConfig:
        if self.auth == "open" and not self.http.loopback:
            raise ValueError("auth open needs http.host 127.0.0.1: whoever reaches the page may acknowledge")
        if self.auth == "oidc" and self.oidc is None:
            raise ValueError("auth oidc needs the section oidc: issuer, client_id, client_secret_file")
        if self.share and (self.mqtt.protocol != "5" or self.store_url.startswith("sqlite")):
            raise ValueError("share needs mqtt.protocol 5 and a store of PostgreSQL")
        return self

    @property
    def store(self) -> URL:
        """Where the store is, with its password.

        Raises:
            DeliveryError: the password file cannot be read, or everybody can read it.
        """
        url = make_url(self.store_url)
        return url.set(
            drivername="postgresql+psycopg" if url.drivername == "postgresql" else "sqlite",
            password=secret(self.store_password_file) if self.store_password_file else None,
        )


def load(path: Path) -> StationConfig:
    """The configuration in a YAML file, its relative files resolved against the folder of it.

    Raises:
        ConfigError: all that is wrong, one line each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; give a UTF-8 YAML file") from error
    return _resolved(validated(text, path, StationConfig), path.parent)


def changed(config: StationConfig, http: Mapping[str, object], *, store_url: str | None) -> StationConfig:
    """The same with what the command line says instead.

    Raises:
        ConfigError: that does not fit.
    """
    told = {"http": config.http.model_dump() | dict(http)} | ({"store_url": store_url} if store_url else {})
    try:
        return StationConfig.model_validate(dict(config) | told)
    except ValidationError as error:
        lines = (f"command line: {item['msg'].removeprefix('Value error, ')}" for item in error.errors())
        raise ConfigError("\n".join(lines)) from error


def _resolved(config: StationConfig, folder: Path) -> StationConfig:
    def against(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    http, oidc, url = config.http, config.oidc, make_url(config.store_url)
    files = {"cert_file": against(http.cert_file), "key_file": against(http.key_file)}
    if url.drivername == "sqlite":
        url = url.set(database=str(folder / (url.database or "")))
    return config.model_copy(
        update={
            "mqtt": resolved_mqtt(config.mqtt, folder),
            "http": http.model_copy(update=files),
            "oidc": oidc and oidc.model_copy(update={"client_secret_file": folder / oidc.client_secret_file}),
            "store_url": url.render_as_string(hide_password=False),
            "store_password_file": against(config.store_password_file),
        }
    )
