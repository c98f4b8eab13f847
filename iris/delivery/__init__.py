"""Telling hooks of what happens: each event that a hook's filter lets through, in order, at least once.

deliverer.py takes hooks and looks whether there is anything new; a courier (courier.py) tells one hook;
messages.py reads what there is to tell, once for all that want it; ledger.py writes down how far each is; a
receiver (web.py) knows how something is sent to one kind of address. A hook is a position in the feed and
nothing else, so a deliverer keeps nothing: whoever comes after it goes on from there.
"""
