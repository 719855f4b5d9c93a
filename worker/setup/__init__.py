"""Set-up of this checkout, with the standard library only: nothing of the project can be imported before it."""
