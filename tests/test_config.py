"""The configuration: what it accepts, and that anything else is refused with place, value and what would be right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from edgemon import config
from edgemon.config import Config, load, parse
from edgemon.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "systemd" / "edgemon.yaml"
HERE = Path("/etc/edgemon/edgemon.yaml")


def _error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, HERE)
    return str(caught.value)


KNOWN = "alarms, beds, cadence, device, home_assistant, log_level, models, mqtt, pain_cue, pose, site, state_dir, unit"
REFUSED = """
devise: cot
1:9: devise: unknown key; known here: KNOWN

mqtt: {port: 99999}
1:14: mqtt.port: Input should be less than or equal to 65535, got 99999

mqtt: {tls: {ca: x}}
1:13: mqtt.tls.ca_file: Field required, got {'ca': 'x'}
1:18: mqtt.tls.ca: unknown key; known here: ca_file, cert_file, key_file

mqtt: {tls: {ca_file: a, cert_file: b}}
1:8: mqtt.tls: cert_file and key_file belong together: give both or neither, got {'ca_file': 'a', 'cert_file': 'b'}

beds: [{id: Cot 1}]
1:13: beds.0.id: String should match pattern '^[a-z0-9][a-z0-9-]{0,31}$', got 'Cot 1'

beds: [{id: a}, {id: a}]
1:1: beds: bed ids must differ from one another, got a, a, got [{'id': 'a'}, {'id': 'a'}]

beds: []
1:1: beds: at least one bed belongs here, such as {id: cot-1, source: picamera}, got []

beds: [{id: a, rotate_deg: 45}]
1:28: beds.0.rotate_deg: Input should be 0, 90, 180 or 270, got 45

beds: [{id: a, cot_region: {x0: 1, x1: 0.5}}]
1:16: beds.0.cot_region: x1 must be greater than x0, and y1 than y0, got {'x0': 1, 'x1': 0.5}

models: {pain: pain}
1:1: models: pain is for the pain cue: set pain_cue.enabled: true, or models.pain: null, got {'pain': 'pain'}

cadence: {heart_rate_hz: 0.4}
1:26: cadence.heart_rate_hz: Input should be greater than or equal to 0.5, got 0.4

beds: [{id: a, fps: on}]
1:21: beds.0.fps: a switch (true, false, on, off, yes, no) cannot stand here, got True

alarms: {hr_low: {limit: .nan}}
1:26: alarms.hr_low.limit: Input should be a finite number, got nan

{device: a, device: b}
1:13: the key 'device' stands here twice; keep one

{mqtt: &a {port: 1}, models: *a}
1:8: an alias (*name) repeats what stands here; write it out where it is needed

device: [
1:10: not YAML: expected the node content, but found '<stream end>'

device: 2001-99-99
1:9: not YAML: '2001-99-99' cannot be read as timestamp

device: "a\\nb"
1:9: not YAML: a control character or line break; settings are plain text

- a
1:1: expected a mapping of settings such as 'device: cot-pi-1', got list

# nothing
1:1: expected a mapping of settings such as 'device: cot-pi-1', got NoneType
"""


@pytest.mark.parametrize("case", REFUSED.strip().replace("KNOWN", KNOWN).split("\n\n"))
def test_each_error_names_its_place_the_value_and_what_is_right(case: str) -> None:
    text, *expected = case.splitlines()
    assert _error(text).splitlines() == [f"{HERE}:{line}" for line in expected]


def test_the_place_is_that_of_the_line_in_the_file() -> None:
    assert _error("device: a\nbeds:\n- id: cot-1\n  fps: 0\n").startswith(f"{HERE}:4:8: beds.0.fps: ")


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(_error("mqtt: {port: 0, keepalive_s: 1}\nlog_level: loud\n").splitlines()) == 3


@pytest.mark.parametrize("text", ["mqtt: {password_file: [s3cret]}", "mqtt: {password: s3cret}"])
def test_no_secret_is_shown(text: str) -> None:
    assert "s3cret" not in _error(text)


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000])
def test_bottomless_nesting_is_refused(text: str) -> None:
    assert "nested too deeply" in _error(text)


def test_an_expanding_document_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert "alias" in _error(bomb)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"device: caf\xe9"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "edgemon.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read.*give a UTF-8 YAML file"):
        load(path)


def test_relative_files_are_resolved_against_the_file_they_stand_in() -> None:
    read = parse(
        "state_dir: state\nmodels: {folder: models}\n"
        "mqtt: {password_file: pw, tls: {ca_file: ca.pem, cert_file: /run/cert.pem, key_file: key.pem}}",
        HERE,
    )
    assert read.mqtt.tls is not None
    assert read.state_dir == Path("/etc/edgemon/state")
    assert read.models.folder == Path("/etc/edgemon/models")
    assert read.mqtt.password_file == Path("/etc/edgemon/pw")
    assert read.mqtt.tls.ca_file == Path("/etc/edgemon/ca.pem")
    assert read.mqtt.tls.cert_file == Path("/run/cert.pem")


def test_a_webcam_may_be_written_as_its_number() -> None:
    assert parse("beds: [{id: cot-1, source: 0}]", HERE).beds[0].source == "0"


def test_an_empty_section_has_the_defaults() -> None:
    assert parse("{}", HERE) == Config()


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().device = "other"  # type: ignore[misc]


# The default configuration that the service ships with


def test_the_default_configuration_loads_and_holds_the_defaults() -> None:
    assert load(DEFAULT) == Config()


def _keys(section: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in section.model_fields.items():
        found.add(name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _keys(kind)
    return found


def _uncommented(text: str) -> str:
    return re.sub(r"^( *)# (?= *[a-z0-9_]+:)", r"\1", text, flags=re.MULTILINE)


def test_the_default_configuration_mentions_every_key() -> None:
    stands = set(re.findall(r"^[ #-]*([a-z0-9_]+):", DEFAULT.read_text(), re.MULTILINE))
    assert _keys(Config) - stands == set()


def test_every_example_in_the_default_configuration_is_valid_when_its_comment_sign_goes() -> None:
    read = parse(_uncommented(DEFAULT.read_text()), DEFAULT)
    assert read.mqtt.tls is not None
    assert read.mqtt.password_file is not None
    assert read.alarms


def test_every_key_of_the_default_configuration_has_a_comment() -> None:
    bare = [
        line for line in DEFAULT.read_text().splitlines()
        if re.match(r"^[ #-]*[a-z0-9_]+: *\S", line) and not re.search(r" # \S", line)
    ]  # fmt: skip
    assert bare == []


# Any text, any YAML: a Config or a ConfigError of printable lines that start with the file's name


def _is_config_or_error(text: str) -> None:
    try:
        read = parse(text, HERE)
    except ConfigError as error:
        for line in str(error).splitlines():
            assert line.startswith(f"{HERE}:")
            assert line.isprintable()
    else:
        assert isinstance(read, Config)


_WORDS = [
    *sorted(_keys(Config)), *"[]{}:,-?&*!|>'\"%@#\n \t", "&a", "*a", "!!int", "!!float", "!!timestamp", "!!set",
    "!!binary", "<<", "---", "0x", "0b", "1:2", ".nan", ".inf", "1e400", "9" * 4400, "2001-99-99", "on", "null",
    '"\\U99999999"', '"\\0"', "cot-1", "  ", "\n  ", ": ",
]  # fmt: skip


@given(st.text())
@example('a: "\\UFFFFFFFF"')
@example("a: !!int ''")
@example("a: !!timestamp z")
@example("a: 0x_")
@example("a: &a [*a]")
@example("alarms: &a {x: *a}")
@example('"\\ud800": 1')
@example("? [1]\n: 2")
@example("\x85a: 1")
def test_any_text_gives_a_configuration_or_an_error(text: str) -> None:
    _is_config_or_error(text)


@given(st.lists(st.sampled_from(_WORDS), max_size=30).map("".join))
def test_any_heap_of_yaml_gives_a_configuration_or_an_error(text: str) -> None:
    _is_config_or_error(text)


_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.datetimes()
    | st.binary(max_size=8) | st.sampled_from(["5", "high", "info", "cot-1", "puback", "a\0b"])
)  # fmt: skip
_keys_of_any_kind = st.sampled_from(sorted(_keys(Config))) | st.text(max_size=8) | st.integers() | st.none()
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys_of_any_kind, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(_keys_of_any_kind, _trees, max_size=6))
def test_any_tree_of_settings_gives_a_configuration_or_an_error(tree: dict[object, object]) -> None:
    _is_config_or_error(yaml.safe_dump(tree, allow_unicode=True))


@given(
    device=st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    port=st.integers(1, 65535),
    face_hz=st.floats(0.1, 30.0),
    x1=st.floats(0.01, 1.0),
)
def test_what_is_within_range_is_read_as_it_is_written(device: str, port: int, face_hz: float, x1: float) -> None:
    tree = {
        "device": device,
        "beds": [{"id": "cot-1", "cot_region": {"x1": x1}}],
        "mqtt": {"port": port},
        "cadence": {"face_hz": face_hz},
    }
    read = parse(yaml.safe_dump(tree), HERE)
    assert (read.device, read.mqtt.port, read.cadence.face_hz) == (device, port, face_hz)
    assert read.beds[0].cot_region.x1 == x1


def test_the_known_keys_are_those_of_the_section() -> None:
    assert config._known_keys(config.Config, ("beds", 0, "cot_region")) == ["x0", "x1", "y0", "y1"]
    assert "limit" in config._known_keys(config.Config, ("alarms", "hr_low"))
