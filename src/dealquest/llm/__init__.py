"""Ask a model: messages, codecs, provider, router."""
