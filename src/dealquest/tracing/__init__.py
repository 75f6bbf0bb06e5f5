"""Spans, context, collector, spool, sinks, views."""
