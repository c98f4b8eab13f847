"""What people have written, on a page: Markdown."""

from markupsafe import Markup

from iris.formats import markdown
from iris.intake import places


class Texts:
    """Makes HTML of the texts of a page.

    tickets:  {number: markdown.Ticket} of those that they name.
    """

    def __init__(self, request, tickets):
        address = f"{request.scheme}://{places.host(request)}"
        self.around = markdown.Around(places.address(request, ""), address, tickets)

    def of(self, text):
        return Markup(markdown.html(text, self.around))
