"""Counted nouns."""


def of(number, one, many=None):
    """Return a number and what is counted: 1 ticket, 2 tickets, 1,000 comments.

    one:      the noun, or more of the sentence, where there is one.
    many:     the same where there is none, or more than one; None: with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
