"""What the keys do, for the page that says so; the script does it (assets/keys.js)."""

KEYS = (
    ("j k", "to the next ticket, and to the one before"),
    ("h l", "on a board, to the column on the left, and on the right"),
    ("Enter", "open it"),
    ("H L", "on a board, move the ticket there, as far as the workflow allows it"),
    ("n", "file a ticket"),
    ("c", "comment on the ticket"),
    ("e", "change the ticket"),
    ("u", "take back what was just done"),
    ("/", "search"),
    ("?", "this page, over the one that is there; keys are turned off and on there"),
    ("Escape", "leave a field, or what lies over the page"),
)
