"""The reasoning server: it thinks before it answers, shows a summary, and keeps the trace for the auditor."""
