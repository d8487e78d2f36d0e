"""Auto-update: facts are gathered, a pure planner decides, an executor carries out and watches, all is remembered."""
