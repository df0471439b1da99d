"""Sends events to syslog as RFC 5424 says."""

from gridtop.plugins.sinks.syslog.sink import Syslog

__all__ = ["Syslog"]
