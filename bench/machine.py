"""What a figure depends on."""


def describe_setup():
    """Return what a figure depends on: versions, commit, processor; no path of this machine."""
    from deep_artists.evidence.machine import describe_machine

    machine = describe_machine()
    kept = ("versions", "revision", "processor", "instruction_set", "threads")
    return {name: machine[name] for name in kept}
