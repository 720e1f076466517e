"""Which commands exist, what each is for, and where its code is; the text of `passenger --help`.

Rules.
1. Nothing is imported here: `passenger --help` costs little more than starting Python.
2. A target is `module:name` of a click command (or of a plain function that takes the arguments, marked `plain`).
3. A command without a summary is hidden: other programs call it, people do not.
"""

START = "passenger.cli.start:start"

COMMANDS = {
    "validate": ("passenger.cli.validate:validate", "Check a configuration; report every mistake at once."),
    "start": (START, "Start the instances of a configuration, or the app in a folder."),
    "stop": ("passenger.cli.stop:stop", "Stop an instance after its requests have finished."),
    "reload": ("passenger.cli.reload:reload", "Apply a changed configuration to a running instance."),
    "restart-app": ("passenger.cli.restart_app:restart_app", "Replace the processes of applications by new ones."),
    "detach-process": (
        "passenger.cli.detach_process:detach_process",
        "Let one process of an application finish and end.",
    ),
    "pause": ("passenger.cli.pause:pause", "Hold the requests of applications for a while, without losing any."),
    "resume": ("passenger.cli.pause:resume", "Let requests that `passenger pause` holds go on."),
    "maintenance": (
        "passenger.cli.maintenance:maintenance",
        "Answer the requests of applications with a page, or stop that.",
    ),
    "drain": ("passenger.cli.drain:drain", "Tell load balancers to send nothing more; serve whatever comes."),
    "status": ("passenger.cli.status:status", "Show what runs: components, applications, processes, queues."),
    "top": ("passenger.cli.top:top", "Watch applications and processes live; restart or detach with a key."),
    "logs": ("passenger.cli.logs:logs", "Show what an instance and its applications said, and follow it."),
    "memory-stats": (
        "passenger.cli.memory_stats:memory_stats",
        "Show the memory of nginx, Passenger and application processes.",
    ),
    "health": ("passenger.cli.health:health", "Say by exit status whether an instance is healthy (for probes)."),
    "config": ("", "Show, render and explain configurations (see `passenger config --help`)."),
    "cache": ("", "Look into nginx's caches of responses, and empty them (`passenger cache --help`)."),
    "telemetry": ("", "See what becomes of telemetry (`passenger telemetry --help`)."),
    "env": ("passenger.cli.env:env", "Show the environment that an application gets, and why."),
    "doctor": ("passenger.cli.doctor:doctor", "Check this host, the configuration, and what runs."),
    "reopen-logs": ("passenger.cli.reopen_logs:reopen_logs", "Open log files anew after a rotation."),
    "install-systemd": ("passenger.cli.install_systemd:install_systemd", "Place units of systemd that run Passenger."),
    "completion": ("passenger.cli.completion:completion", "Print a script that completes commands in your shell."),
    "sbom": ("passenger.cli.sbom:sbom", "Print what this installation is made of (CycloneDX)."),
    "container": ("passenger.cli.container:container", "The entry point of the container images."),
    "version": ("passenger.cli.version:version", "Show the version."),
    "complete": ("passenger.cli.completion:complete", ""),
    "resolve-plan": ("passenger.cli.resolve_plan:resolve_plan", ""),
}

CONFIG_COMMANDS = {
    "show": ("passenger.cli.config_show:show", "The configuration in effect, with the origin of every value."),
    "diff": ("passenger.cli.config_diff:diff", "What a reload would change, key by key, and what that would do."),
    "render": ("passenger.cli.config_render:render", "The files for nginx (or Apache) that an instance would use."),
    "convert": ("passenger.cli.config_convert:convert", "A passenger.toml from files of Passenger, or a Procfile."),
    "schema": ("passenger.cli.config_schema:schema", "The JSON schema of passenger.toml, for editors."),
    "keys": ("passenger.cli.config_keys:keys", "Every key: type, default, unit, since when, reload or restart."),
}

TOOL_COMMANDS = {
    "list-instances": ("passenger.cli.list_instances:list_instances", "List the running instances."),
    **{name: COMMANDS[name] for name in ("restart-app", "detach-process", "reopen-logs")},
    "api-call": ("passenger.cli.api_call:api_call", "Ask a control socket, and print the raw answer."),
    "system-metrics": ("passenger.cli.system_metrics:system_metrics", "Show how busy this machine is."),
    "system-properties": ("passenger.cli.system_properties:system_properties", "Show what this machine is."),
    "validate-install": ("passenger.cli.validate_install:validate_install", "Check this installation."),
    "about": ("passenger.cli.about:about", "Print one fact about this installation."),
}

TOOL = "passenger-config"

CACHE_COMMANDS = {
    "status": ("passenger.cli.cache_status:status", "Where the caches are, and how full."),
    "purge": ("passenger.cli.cache_purge:purge", "Remove kept responses of an application."),
}

TELEMETRY_COMMANDS = {
    "status": ("passenger.cli.telemetry:status", "What was told, delivered, kept and lost, by sink."),
    "flush": ("passenger.cli.telemetry:flush", "Have everything delivered now."),
}

GROUPS = {
    "": COMMANDS,
    "cache": CACHE_COMMANDS,
    "config": CONFIG_COMMANDS,
    "telemetry": TELEMETRY_COMMANDS,
    TOOL: TOOL_COMMANDS,
}
"""A command without a target is the name of a group; `passenger-config` is a program of its own."""

PROGRAMS = {
    "passenger-status": "passenger.cli.passenger_status:passenger_status",
    "passenger-memory-stats": "passenger.cli.memory_stats:memory_stats",
}
"""Programs that are one command each."""

PLAIN = frozenset({"passenger.cli.health:health", "passenger.cli.container:container"})
"""Commands that parse their own arguments: they must cost as little as possible, or pass them on."""

_INTRODUCTIONS = {
    "": "The Passenger application server: one TOML file, one command, nginx in front, a watchdog behind.",
    "cache": "Responses that nginx keeps, by the table `cache` of an application.",
    "config": "Look at configurations. Nothing is started and nothing is changed.",
    "telemetry": "What UstRouter does, where a sink is configured in [instances.NAME.telemetry].",
    TOOL: "Look at and act on running instances, as Passenger's tool of this name does.",
}

_EXAMPLES = {
    "": ("passenger start", "passenger validate passenger.toml", "passenger status --watch"),
    "cache": ("passenger cache status", "passenger cache purge blog --uri '/news/*'"),
    "config": ("passenger config show --origin", "passenger config render --out /tmp/nginx"),
    "telemetry": ("passenger telemetry status", "passenger telemetry flush --timeout 5"),
    TOOL: ("passenger-config list-instances", "passenger-config restart-app blog"),
}

_ENDINGS = {
    "": "Exit status: 0 done, 1 failed, 2 usage, 3 no such instance or none chosen, 78 invalid configuration.\n",
    "cache": "",
    "config": "",
    "telemetry": "",
    TOOL: "",
}


def program_of(group: str) -> str:
    """What a user types before the commands of a group."""
    return group if group == TOOL else f"passenger {group}".rstrip()


def group_of_program(program: str) -> str:
    """The group whose commands a program has."""
    return TOOL if program == TOOL else ""


def help_text(group: str) -> str:
    """The help page of `passenger` ("" ) or of a group of commands."""
    program = program_of(group)
    visible = {name: summary for name, (_, summary) in GROUPS[group].items() if summary}
    width = max(map(len, visible)) + 2
    lines = [
        f"Usage: {program} COMMAND [OPTIONS]",
        "",
        f"  {_INTRODUCTIONS[group]}",
        "",
        "Commands:",
        *(f"  {name:<{width}}{summary}" for name, summary in visible.items()),
        "",
        "Options:",
        "  --help     This page; `COMMAND --help` describes one command.",
        *(("  --version  Show the version.",) if not group else ()),
        "",
        "Examples:",
        *(f"  {line}" for line in _EXAMPLES[group]),
        "",
    ]
    return "\n".join(lines) + _ENDINGS[group]
