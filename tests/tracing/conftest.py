"""What the tracing tests share."""

pytest_plugins = ["dealquest.testing.pytest_plugin"]
