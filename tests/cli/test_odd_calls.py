"""Commands called in rarer ways: packs with and without faults, runs that are compared and judged, traces from nowhere."""
