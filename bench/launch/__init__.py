"""From a grid to published records: the plan of what is missing, and the processes that do it."""

WORK = "work"
"""In a results folder, the folder of units that are at work or were interrupted."""

LOGS = "logs"
"""There too, what workers have printed."""
