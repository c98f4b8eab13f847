// What a page does more, where there is a script.
