"""What mail servers' codes mean: whether an address is there at all."""

import re

# RFC 3463: class, what it is about, and what of it.
ENHANCED = re.compile(r"\b([245])\.([0-9]{1,3})\.[0-9]{1,3}\b")
# What is the address's fault: nothing in particular, it, its mailbox, its host. Others are about the mail, or
# about who sends it, and would be everybody's.
THEIRS = ("0", "1", "2", "4")
# Codes that say so without such a status.
NOBODY = (550, 551, 553)


def is_gone(code, words):
    """Whether a refusal means that there is no such address, and never will be.

    code:     of SMTP, or None.
    words:    what was said, with a status of RFC 3463 or without.
    """
    if status := ENHANCED.search(words):
        return status[1] == "5" and status[2] in THEIRS
    return code in NOBODY
