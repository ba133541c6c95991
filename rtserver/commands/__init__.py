"""Commands of ``rtserver`` beside those of the server itself, one file per family."""
