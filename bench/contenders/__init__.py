"""Programs that do one thing and say, in one line of JSON, how long it took them."""
