"""The part of the model about telemetry: `[instances.NAME.telemetry]` and its sinks, `[apps.NAME.telemetry]`.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from passenger.config.declare import NO_TABLE, key
from passenger.config.env_value import EnvValue
from passenger.config.patterns import SHARE_HELP, SHARE_PATTERN
from passenger.config.units import KIB, MIB
from passenger.lazy_dataclass import dataclass

_URL: Final = r"^https?://[A-Za-z0-9._~:\[\]-]+(/[^\s?#]*)?$"
_URL_HELP: Final = "a URL such as `http://collector:4318`, without user, query or fragment"
_OWN: Final = (
    "Headers that the records of this application are delivered with, such as a key of its own, apart from those of "
    "others. They replace those of the same name in `[instances.NAME.telemetry.{sink}]`."
)
_HEADERS: Final = (
    "Headers of every delivery, such as a key of the service. `_` in a name stands for `-`. Secrets belong into "
    '`{ file = "..." }`.'
)


def _timeout() -> float:
    found: float = key(
        "A delivery that is not answered by then has failed, and is tried again later.",
        default=10.0,
        unit="duration",
        minimum=0.1,
        maximum=300,
        reload="live",
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Otlp:
    """`[instances.NAME.telemetry.otlp]`: an OpenTelemetry collector, or a service that takes OTLP over HTTP."""

    endpoint: str | None = key(
        "Where OTLP over HTTP (protobuf) is taken; `/v1/traces`, `/v1/metrics` and `/v1/logs` are put behind it. Needs "
        "the extra `telemetry`. None: no such sink.",
        default=None,
        reload="live",
        example="http://127.0.0.1:4318",
        pattern=_URL,
        pattern_help=_URL_HELP,
    )
    headers: Mapping[str, EnvValue] = key(
        _HEADERS, default=NO_TABLE, reload="live", example={"Authorization": "Bearer"}
    )
    timeout: float = _timeout()
    traces: bool = key("Send requests and starts of processes, as spans.", default=True, reload="live")
    metrics: bool = key("Send counters and histograms.", default=True, reload="live")
    logs: bool = key("Send what else happens: exits, restarts, reloads, refusals.", default=True, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSink:
    """`[instances.NAME.telemetry.http]`: anything that takes JSON."""

    url: str | None = key(
        'Gets `{"records": [...]}` by POST. None: no such sink.',
        default=None,
        reload="live",
        example="https://telemetry.example.com/passenger",
        pattern=_URL,
        pattern_help=_URL_HELP,
    )
    headers: Mapping[str, EnvValue] = key(_HEADERS, default=NO_TABLE, reload="live", example={"X_Api_Key": "key"})
    timeout: float = _timeout()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesSink:
    """`[instances.NAME.telemetry.json_lines]`: a file with one record on each line."""

    file: str | None = key(
        "The file; UstRouter, which runs as the user of the nginx workers, must be able to make it and to rename it. "
        "None: no such sink.",
        default=None,
        unit="path",
        reload="live",
        example="/var/log/passenger/telemetry/records.jsonl",
    )
    max_size: int = key(
        "A file that would grow larger is renamed to FILE.1 first, and so on.",
        default=64 * MIB,
        unit="size",
        minimum=64 * KIB,
        reload="live",
    )
    keep: int = key("Old files that are kept.", default=5, minimum=0, maximum=1000, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """`[instances.NAME.telemetry]`: where UstRouter sends what happens. Without a sink there is no UstRouter."""

    flush_interval: float = key(
        "A batch is delivered so long after its first record, or when 512 records wait.",
        default=2.0,
        unit="duration",
        minimum=0.1,
        maximum=300,
        reload="live",
    )
    sample_interval: float = key(
        "Time between two looks at memory and CPU of the processes. `0s` = never.",
        default=30.0,
        unit="duration",
        maximum=86400,
        reload="live",
    )
    spool: str | None = key(
        "Folder for what cannot be delivered at once; it must belong to the user of the nginx workers. None: it waits "
        "in memory, up to 10000 records for each sink, and the oldest are dropped.",
        default=None,
        unit="path",
        reload="live",
        example="/var/spool/passenger",
    )
    spool_size: int = key(
        "Room on the disk for each sink; beyond it the oldest batches are dropped.",
        default=64 * MIB,
        unit="size",
        minimum=MIB,
        reload="live",
    )
    otlp: Otlp = key("OTLP over HTTP.", table=Otlp)
    http: HttpSink = key("JSON over HTTP.", table=HttpSink)
    json_lines: LinesSink = key("JSON in a file.", table=LinesSink)

    def has_sinks(self) -> bool:
        """Whether anything is to be told to anybody."""
        return any((self.otlp.endpoint, self.http.url, self.json_lines.file))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTelemetry:
    """`[apps.NAME.telemetry]`: what is told about the requests of an application, where its instance has a sink."""

    sample: str = key(
        "Share of the requests that are told. A trusted proxy that has decided already (`traceparent`) is followed.",
        default="100%",
        reload="live",
        example="10%",
        pattern=SHARE_PATTERN,
        pattern_help=SHARE_HELP,
    )
    paths: str = key(
        "`digest`: a path is told as a digest, so that equal ones can be found but none can be read. `plain`: as it "
        "is, without its query. `off`: not at all.",
        default="digest",
        choices=("digest", "plain", "off"),
        reload="live",
    )
    traceparent: bool = key(
        "The application gets `traceparent` (W3C Trace Context), so that its own spans join those of its requests.",
        default=True,
        reload="live",
    )
    otlp_headers: Mapping[str, EnvValue] = key(
        _OWN.format(sink="otlp"), default=NO_TABLE, reload="live", example={"Authorization": "Bearer"}
    )
    http_headers: Mapping[str, EnvValue] = key(
        _OWN.format(sink="http"), default=NO_TABLE, reload="live", example={"X_Api_Key": "key"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnHeaders:
    """What an application has of its own for the sinks; {} = it goes with the others."""

    otlp: Mapping[str, EnvValue]
    http: Mapping[str, EnvValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """All that UstRouter has to know. `own` holds only applications with headers for a sink that there is."""

    sinks: Telemetry
    own: Mapping[str, OwnHeaders]


def routes_of(section: Telemetry, apps: Mapping[str, AppTelemetry]) -> Routes:
    """Of the configuration of an instance and of its applications, by name."""
    found = {
        name: OwnHeaders(
            otlp=app.otlp_headers if section.otlp.endpoint else NO_TABLE,
            http=app.http_headers if section.http.url else NO_TABLE,
        )
        for name, app in apps.items()
    }
    return Routes(sinks=section, own={name: own for name, own in found.items() if own.otlp or own.http})


def headers_of(headers: Mapping[str, EnvValue], own: Mapping[str, EnvValue] = NO_TABLE) -> dict[str, str]:
    """As they are sent: those of a sink, and in their place those of the same name that an application has."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in (*headers.items(), *own.items()):
        sent = name.replace("_", "-")
        found[sent.lower()] = sent, value.value
    return dict(found.values())


def rate_of(section: AppTelemetry) -> float:
    """`sample` as a number from 0 to 1."""
    return float(section.sample.removesuffix("%")) / 100
