"""python -m iris.cli"""

from iris import cli

cli.main()
