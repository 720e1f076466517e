"""Every code of a configuration diagnostic with its one-line meaning. A code never changes its meaning.

E1xx files and TOML, E2xx shape, E3xx keys that contradict each other, E4xx this host, E5xx the place
where it is to run; W likewise for warnings.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from passenger.config.reading_codes import READING_CODES
from passenger.config.target_codes import TARGET_CODES

_SHAPE: Final = {
    "E201": "`config_version` is missing",
    "E202": "the file has a format version that this Passenger does not know",
    "E203": "a value has the wrong type",
    "E204": "no such key",
    "E205": "a value is not one of the words that the key takes",
    "E206": "a text does not have the form that the key takes",
    "E207": "a value is below the minimum or above the maximum",
    "E208": "a required key is missing",
    "E209": "a number stands without its unit",
    "E210": "a duration or size is malformed",
    "E211": "the name of an application, instance or environment variable is malformed",
    "E212": "a text contains a control character",
    "E213": "a text or list is empty",
    "E214": "an address or port number does not exist",
    "E215": "a path starts with `~`, which is not expanded",
    "E216": "an address or network does not exist",
}

_CROSS: Final = {
    "E301": "two applications answer for the same server name and base URI",
    "E302": "two applications of an instance are the default for the same base URI",
    "E303": "two listeners want the same port",
    "E304": "`min_instances` is greater than `max_instances`",
    "E305": "the sum of `min_instances` is greater than `max_pool_size`",
    "E306": "a TLS certificate without its key, or a key without its certificate",
    "E307": "an application names an instance that does not exist",
    "E308": "several instances, and an application does not say which one serves it",
    "E309": "`startup_file` and `entry_point` exclude each other",
    "E310": "a value of `server_names` stands twice in one application",
    "E311": "a key that the application's type does not know",
    "E312": "`app_type` is `generic`, and there is no `app_start_command`",
    "E313": "the name of the startup file does not tell the application's type",
    "E314": "a listener of PROXY protocol without anybody to take it from",
    "E315": "an application's user or group is among the readers of its instance",
    "E316": "the program of a hook is no absolute path",
    "E317": "the dashboard lets somebody act without a token, or the token is too weak",
    "E318": "a header of telemetry that cannot be sent",
    "E340": "a limit of memory is not below the one that ends processes",
    "E341": "a limit leaves nothing to the application",
    "E350": "a cache without the buffers that it is filled from",
    "E351": "a key that has no effect with Apache",
    "E352": "an Apache that the instance would have to run",
    "W301": "an instance has no applications",
    "W302": "error pages with internals are shown in production",
    "W303": "`max_instances` is greater than `max_pool_size` and cannot be reached",
    "W304": "a listener has no effect because the instance runs without nginx",
    "W305": "a group is given without a user",
    "W306": "everybody is trusted to say who the client is",
    "W307": "headers of an application for a telemetry sink that there is not",
    "W330": "a limit of time is longer than another one that comes before it",
    "W350": "a cache has no effect because the instance runs without nginx",
}

_HOST: Final = {
    "E401": "a folder does not exist",
    "E402": "a path is not a folder",
    "E403": "a folder or file is closed for the application's user",
    "E404": "the application cannot be found in `app_root`",
    "E405": "an interpreter or program does not exist or is not executable",
    "E406": "no such user",
    "E407": "no such group",
    "E408": "an application would run as root",
    "E409": "a user or group is given, but only root can switch users",
    "E410": "a file of TLS cannot be read",
    "E411": "a port is in use",
    "E412": "a port below the privileged limit without the right to bind it",
    "E413": "the registry cannot be used",
    "E414": "the path of a socket is too long",
    "E415": "Passenger's own files are closed for the application's user",
    "E416": "a log file cannot be written",
    "E417": "a reader of the instance is nobody on this machine, or could not reach it",
    "E420": "a limit of an application is beyond what may be set here",
    "E421": "a CPU does not exist",
    "E422": "no cgroup can be made for an application",
    "E450": "the folder of a cache cannot be used",
    "E460": "a package that a telemetry sink needs is not installed",
    "E461": "a folder of telemetry cannot be used",
    "W401": "the kernel's limit of waiting connections is low",
    "W402": "a listener on IPv6 may hold the port on IPv4 as well",
    "W403": "everybody may change the configuration file that root acts on",
    "W404": "root checks for an instance that another user starts",
    "W420": "the memory limits allow more than there is",
}

CODES: Final[Mapping[str, str]] = MappingProxyType({**READING_CODES, **_SHAPE, **_CROSS, **_HOST, **TARGET_CODES})
"""Code -> meaning."""
