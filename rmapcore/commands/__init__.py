"""The commands, a file each: add(commands) says what it takes, run(options) does it."""
