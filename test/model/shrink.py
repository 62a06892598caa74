"""Cuts a list of steps down to few that still fail, by delta debugging."""


def shrink(steps, fails, report=lambda steps: None, time_left=lambda: True):
    """A sublist that fails as well, from which hardly a step can be left out.

    fails(steps) does them and tells whether they fail in the same way.
    """
    parts = 2
    while len(steps) >= 2 and time_left():
        size = max(1, len(steps) // parts)
        for first in range(0, len(steps), size):
            rest = steps[:first] + steps[first + size:]
            if rest and time_left() and fails(rest):
                steps = rest
                parts = max(parts - 1, 2)
                report(steps)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(steps))
    return steps
