"""dealquest: a sales-coaching system as a Python SDK, library first.

Import the core you need (`from dealquest.llm import Router`); this package itself loads nothing.
"""

__version__ = "0.1.0"
