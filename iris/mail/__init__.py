"""Mail: what people are told of by it, and what comes back.

letters.py writes mails; post.py hands them to a mail server; receiver.py does both for a hook that leads to
mailto:, postman.py for people's inboxes; addresses.py knows the addresses that mail comes back to, reading.py
what of a mail is meant, taking.py what becomes of it; statuses.py knows what mail servers' codes mean.
"""
