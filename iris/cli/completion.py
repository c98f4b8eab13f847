"""`iris completion`."""

from iris import cli, visible
from iris.cli import common
from iris.client import guessing

EXAMPLES = """
  eval "$(iris completion bash)"             # in ~/.bashrc
  eval "$(iris completion zsh)"              # in ~/.zshrc, after compinit
  iris completion fish | source              # in ~/.config/fish/config.fish
"""
SCRIPTS = {
    "bash": r"""
_iris() {
    local IFS=$'\n'
    COMPREPLY=($(iris completion bash --line "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o nosort -F _iris iris
""",
    "zsh": r"""
_iris() {
    local -a found
    found=(${(f)"$(iris completion zsh --line "$LBUFFER" 2>/dev/null)"})
    compadd -Q -S '' -- ${(M)found:#*=}
    compadd -Q -- ${found:#*=}
}
compdef _iris iris
""",
    "fish": r"""
complete -c iris -f -k -a '(iris completion fish --line (commandline -cp) 2>/dev/null)'
""",
}
# What bash takes for the beginning of another word.
BREAKS = "=:@"
# What a shell takes for more than itself.
MEANT = frozenset(" \t\"'\\$`!*?[](){}<>|&;#~")


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("shell", choices=SCRIPTS, help="whose script to print")
    parser.add_argument("--line", metavar="TEXT", help="say how this may go on, as the script asks")


def run(arguments):
    """Print what makes a shell complete commands, filters, statuses, names and labels."""
    if arguments.line is None:
        common.show(SCRIPTS[arguments.shell].strip())
        return 0
    typed = guessing.taken_apart(arguments.line)[1:]
    last = arguments.line.split(" ")[-1]
    cut = max(last.rfind(char) for char in BREAKS) + 1 if arguments.shell == "bash" else 0
    for word in guessing.candidates(typed, cli.COMMANDS, _options):
        if word == visible.safe(word):
            common.show(word if arguments.shell == "fish" else _escaped(word)[cut:])
    return 0


def _options(command):
    """Return the options of a command."""
    if command not in cli.COMMANDS:
        return []
    made = cli.parser(command)._subparsers._group_actions[0].choices[command]
    return [name for name in made._option_string_actions if name.startswith("--")]


def _escaped(word):
    return "".join(f"\\{char}" if char in MEANT else char for char in word)
