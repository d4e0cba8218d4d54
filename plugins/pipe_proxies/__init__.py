"""The proxies that come with Pipe: each is a plugin, and those that it runs are containers."""
