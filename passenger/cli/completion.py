"""`passenger completion SHELL`, and what its scripts ask: `passenger complete PROGRAM WORD...`."""

from __future__ import annotations

import contextlib

import click

from passenger.cli.completing import SHELLS, candidates
from passenger.cli.options import examples
from passenger.errors import EXIT_OK, PassengerError

BASH = """\
# bash completion of Passenger: put it into /etc/bash_completion.d/, or `source <(passenger completion bash)`
_passenger() {
    local words="${COMP_WORDS[*]:1:COMP_CWORD}" IFS=$'\\n'
    COMPREPLY=($(passenger complete "${COMP_WORDS[0]##*/}" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    case "$words" in *=*) COMPREPLY=("${COMPREPLY[@]##*=}") ;; esac
}
complete -o default -F _passenger passenger passenger-status passenger-memory-stats passenger-config
"""

ZSH = """\
#compdef passenger passenger-status passenger-memory-stats passenger-config
# zsh completion of Passenger: put it as _passenger into a folder of $fpath, or `source <(passenger completion zsh)`
_passenger() {
    local -a found
    found=(${(f)"$(passenger complete "${words[1]:t}" "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = _passenger ]; then
    _passenger "$@"
else
    compdef _passenger passenger passenger-status passenger-memory-stats passenger-config
fi
"""

FISH = """\
# fish completion of Passenger: put it into ~/.config/fish/completions/passenger.fish
function __passenger_complete
    set -l words (commandline -opc) (commandline -ct)
    passenger complete (basename $words[1]) $words[2..-1] 2>/dev/null
end
for program in passenger passenger-status passenger-memory-stats passenger-config
    complete -c $program -a '(__passenger_complete)'
end
"""

SCRIPTS = dict(zip(SHELLS, (BASH, ZSH, FISH), strict=True))


@click.command(
    epilog=examples(
        "passenger completion bash > /etc/bash_completion.d/passenger",
        "source <(passenger completion bash)",
        "passenger completion fish > ~/.config/fish/completions/passenger.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print a script that lets a shell complete commands, options, and names of running instances and applications."""
    print(SCRIPTS[shell], end="")
    return EXIT_OK


@click.command(hidden=True, context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("program")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def complete(program: str, words: tuple[str, ...]) -> int:
    """Print what the last word could become, one candidate per line (called by the scripts)."""
    with contextlib.suppress(PassengerError, OSError, ImportError):
        for word in candidates(program, words):
            print(word)
    return EXIT_OK
