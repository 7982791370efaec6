"""Commands with a file of their own: add(commands) says what they take, run(options) does it. The others are in cli."""
