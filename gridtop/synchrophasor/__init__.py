"""IEEE C37.118.2 synchrophasors: frames, configurations, readings, status words and captures."""
