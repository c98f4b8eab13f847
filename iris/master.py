"""gunicorn, but for what it does to Python's path: the folder that it is run in comes first there.

Whatever lies in that folder, be it called iris or queue.py, would be taken for what Iris needs.
"""

from gunicorn.app import wsgiapp


class Application(wsgiapp.WSGIApplication):
    """gunicorn's application, which stays where it is."""

    def chdir(self):
        """Change nothing."""


if __name__ == "__main__":
    Application("%(prog)s [OPTIONS] [APP_MODULE]").run()
