"""One seller's question, one answer."""
