"""Posts events to a URL, signed after Standard Webhooks."""

from gridtop.plugins.sinks.webhook.sink import Webhook

__all__ = ["Webhook"]
