"""Running campaigns: `child` is the fuzzing process, `run` its parent, `findings` what was found."""
