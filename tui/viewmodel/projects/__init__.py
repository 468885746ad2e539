"""The screen of ended jobs by project, output format or priority."""
