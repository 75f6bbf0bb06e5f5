"""Doubles that we ship: what a test needs instead of the world."""

from .init_data import sign_init_data, sign_init_data_ed25519, sign_login_widget

__all__ = ["sign_init_data", "sign_init_data_ed25519", "sign_login_widget"]
