"""The widgets: each paints rows of the view model and decides nothing."""
