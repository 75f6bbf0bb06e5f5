"""The dealquest cores behind HTTP."""
