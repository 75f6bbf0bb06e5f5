"""Who is asking: initData, session tokens, access lists."""
