"""Use the client that openapi-python-client has made: client.py FOLDER URL.

FOLDER:   where its package lies.
URL:      of an Iris.
"""

import sys
from datetime import datetime
from http import HTTPStatus

sys.path.insert(0, sys.argv[1])

from iris_client import Client, api, models
from iris_client.api.comments import put_tickets_ticket_id_comments
from iris_client.api.tickets import (
    delete_tickets_ticket_id,
    get_tickets,
    get_tickets_ticket_id,
    put_tickets,
    put_tickets_ticket_id,
)


def main():
    """File a ticket, list it, change it, comment on it, delete it: all of it by types."""
    client = Client(sys.argv[2])
    given = models.TicketGiven(title="By a typed client", priority=models.TicketGivenPriority.HIGH)
    filed = put_tickets.sync(client=client, body=given)
    assert isinstance(filed, models.Ticket), filed
    assert isinstance(filed.created, datetime)
    listed = get_tickets.sync(client=client, priority="high", limit=1)
    assert [row.ticket_id for row in listed] == [filed.ticket_id]
    number = filed.ticket_id
    changed = put_tickets_ticket_id.sync(
        number, client=client, body=models.TicketChanged(status=models.TicketChangedStatus.ACTIVE)
    )
    assert (changed.status, changed.version) == ("active", 2)
    put_tickets_ticket_id_comments.sync(
        number, client=client, body=models.TicketCommentGiven(body="Seen")
    )
    whole = get_tickets_ticket_id.sync(number, client=client)
    assert [each.body for each in whole.comments] == ["Seen"]
    gone = delete_tickets_ticket_id.sync_detailed(number, client=client)
    assert gone.status_code == HTTPStatus.NO_CONTENT
    lost = get_tickets_ticket_id.sync_detailed(number, client=client)
    assert lost.status_code == HTTPStatus.NOT_FOUND
    assert api


main()
