"""`iris doctor`."""

import json

from iris.cli import common

EXAMPLES = """
  iris doctor
  iris doctor --quick --json                 # for what watches
  iris doctor --sql | psql …                 # the look at the schema, where only psql gets there
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("--json", action="store_true", help="a JSON document instead of lines")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out the history, which takes longer the more there is",
    )
    parser.add_argument(
        "--hours", type=float, default=26, metavar="N", help="how old the newest backup may be (26)"
    )
    parser.add_argument(
        "--sql", action="store_true", help="print the look at the schema for the owner's psql"
    )


def run(arguments):
    """Look whether all is as it should be, and say what to do; exit status 1 if something is wrong."""
    from iris import doctor  # noqa: PLC0415 (it takes its time)
    from iris.doctor import findings, inside  # noqa: PLC0415

    if arguments.sql:
        common.show(f"BEGIN;\n{inside.comparison()}\nROLLBACK;")
        return 0
    found = []
    for finding in doctor.examine(arguments.hours, arguments.quick):
        found.append(finding)
        if not arguments.json:
            mark = finding.status.upper() if finding.status == findings.WRONG else finding.status
            common.show(f"{mark:8}{finding.check}: {finding.found}")
            if finding.todo:
                common.show(f"{'':8}  -> {finding.todo}")
    status = doctor.status(found)
    if arguments.json:
        common.show_json(
            json.dumps({"ok": status == 0, "checks": [one._asdict() for one in found]})
        )
    return status
