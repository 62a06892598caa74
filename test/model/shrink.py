"""Reduces a list of steps to a few that still fail, by delta debugging."""


def shrink(steps, fails, report=lambda steps: None, time_left=lambda: True):
    """A sublist that fails as well, from which hardly a step can be left out.

    fails(steps) does them and gives those that had an effect, or None if they do not
    fail in the same way.
    """
    size = max(len(steps) // 2, 1)
    while time_left():
        before = len(steps)
        first = 0
        while first < len(steps) and time_left():
            rest = steps[:first] + steps[first + size:]
            shorter = fails(rest) if rest else None
            if shorter is None:
                first += size
            else:
                steps = shorter
                report(steps)
        if size == 1 and len(steps) == before:
            break
        size = max(size // 2, 1)
    return steps
