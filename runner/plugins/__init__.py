"""Loads plugins: installed distributions, and the files of a project's own `plugins/` folder.

A plugin is code that runs on this machine with the user's own rights, outside of any box.
"""

from runner.plugins.loading import Loaded, PluginInfo
from runner.plugins.plugins import Plugins, load_installed, load_plugins

__all__ = ["Loaded", "PluginInfo", "Plugins", "load_installed", "load_plugins"]
