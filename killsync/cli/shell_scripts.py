"""What makes the shells complete: a script for each, and where it is installed."""

import os
import shlex
from pathlib import Path

from killsync.errors import UsageError

# bash replaces only the end of a word that it calls $2, and types what it gets as it is
_BASH = r"""_killsync_completion() {
    local line kind="" program=$1
    [[ $program == '~/'* ]] && program=$HOME/${program:2}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("$line"); fi
    done < <(_KILLSYNC_COMPLETE=bash "$program" "${COMP_LINE:0:COMP_POINT}" "$2" \
        2>/dev/null </dev/null)
    [[ $kind == files ]] && compopt -o default 2>/dev/null
    return 0
}
complete -F _killsync_completion killsync
"""

# zsh quotes what it types itself
_ZSH = r"""#compdef killsync
_killsync_completion() {
    local line program=${(Q)words[1]} kind=
    local -a values shown
    [[ $program == '~/'* ]] && program=$HOME/${program:2}
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        else
            values+=("${line%%$'\t'*}")
            shown+=("${line%%$'\t'*}${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
        fi
    done < <(_KILLSYNC_COMPLETE=zsh "$program" "$program" "${(@Q)words[2,CURRENT-1]}" \
        "${(Q)PREFIX}" 2>/dev/null </dev/null)
    if [[ $kind == files ]]; then
        [[ $PREFIX == --*=* ]] && compset -P '*='
        _files
    elif (( $#values )); then
        compadd -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -l -d shown -a -- values
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _killsync_completion "$@"
else
    compdef _killsync_completion killsync
fi
"""

# so does fish
_FISH = r"""function __killsync_complete
    set -l tokens (commandline -opc)
    set -l program killsync
    for token in $tokens
        if not string match -qr '^\w+=' -- $token
            set program (string replace -r '^~/' "$HOME/" -- $token)
            break
        end
    end
    set -l current (commandline -ct)
    set -l lines (env _KILLSYNC_COMPLETE=fish $program $tokens "$current" 2>/dev/null </dev/null)
    if test "$lines[1]" = files
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines[2..-1]
    end
end
complete --command killsync --no-files --arguments '(__killsync_complete)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)


def script(shell: str) -> str:
    """Return the script for a shell. Raises UsageError for a shell that has none."""
    if shell not in _SCRIPTS:
        raise UsageError(f"{shell!r}: only {', '.join(SHELLS)} complete killsync")
    return _SCRIPTS[shell]


def script_here() -> str:
    """Return the script for the shell that this is called from. Raises UsageError."""
    return script(_shell()).rstrip("\n")


def install() -> str:
    """Write the script for this shell, and a line to what the shell reads at its start.

    Return what a person is told. Raises UsageError.
    """
    shell, home = _shell(), Path.home()
    text = script(shell)
    if shell == "fish":
        directory = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        file = directory / "fish" / "completions" / "killsync.fish"
    elif shell == "zsh":
        file = home / ".zfunc" / "_killsync"
        start = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
        _append(start, "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
    else:
        file = home / ".bash_completions" / "killsync.sh"
        _append(home / ".bashrc", f"source {shlex.quote(str(file))}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return f"{shell} completes killsync in new terminals, by {file}"


def _append(file: Path, line: str) -> None:
    """Append a line to a file that lacks it."""
    present = file.read_text(errors="surrogateescape") if file.exists() else ""
    if line not in present.splitlines():
        with file.open("a") as end:
            end.write(f"{'' if present.endswith(chr(10)) or not present else chr(10)}{line}\n")


def _shell() -> str:
    """Return the name of the shell that has called. Raises UsageError if it is not known."""
    import shellingham

    try:
        name, _ = shellingham.detect_shell()
    except shellingham.ShellDetectionFailure:
        name = Path(os.environ.get("SHELL", "")).name
    if not name:
        raise UsageError("which shell this is cannot be found out: set SHELL")
    return str(name)
