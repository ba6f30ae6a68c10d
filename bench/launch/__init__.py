"""From a grid to published records: the plan of what is missing, and the processes that do it."""
