"""Generator of the demo: a game of Nine Men's Morris, drawn scene by scene, and the jobs that teach it."""
