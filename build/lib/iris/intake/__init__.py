"""What every request goes through before its route sees it, and after."""
