"""What a browser gets: pages, which templates draw from what JSON tells, and the files that they load.

This room knows no noun. A route hands over what it has read, and names a template (`pages.page()`).
"""
