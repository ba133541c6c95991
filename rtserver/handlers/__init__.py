"""The HTTP face of the hub, one file per verb.  Handlers translate; they do not decide."""
