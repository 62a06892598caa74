"""Runs on new clusters, one after the other, until the time is up or one fails.

See the head of "run" for what it is called with.
"""

import argparse
import random
import re
import sys
import time

from cluster import Cluster
from run import DATABASES, SESSION_DATABASES, Run
from shrink import shrink
from verbs import TOPICS, Mismatch, Step, draw


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bindir', required=True)
    parser.add_argument('--work', required=True)
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--steps', type=int, default=250)
    parser.add_argument('--shrink-seconds', type=float, default=300)
    return parser.parse_args()


def choose_run(seed, nsteps):
    """The definition of a run: settings, whether there is a standby, and steps."""
    rng = random.Random(seed)
    settings = {'rocketq.janitor_interval': rng.choice(['50ms', '1s', '10s'])}
    if rng.random() < 0.5:
        settings.update({'rocketq.max_queues': rng.choice([32, 35, 56]),
                         'rocketq.max_groups': rng.choice([16, 2048]),
                         'rocketq.max_consumer_slots': rng.choice([64, 16384]),
                         'rocketq.max_consumer_slots_per_topic': rng.choice([24, 4096]),
                         'rocketq.max_queues_per_topic': rng.choice([4, 1024]),
                         'rocketq.max_groups_per_topic': rng.choice([1, 128])})
    standby = rng.random() < 0.4
    steps = [Step('create_topic', session, False, {'topic': topic, 'nqueues': rng.randint(1, 5)})
             for session in (0, len(SESSION_DATABASES) - 1) for topic in TOPICS[:2]]
    while len(steps) < nsteps:
        steps.append(draw(rng, len(SESSION_DATABASES)))
    return settings, standby, steps


def try_steps(cluster, settings, standby, steps):
    """(problem or None, steps that had something to do, script)"""
    run = Run(cluster, settings, standby)
    done = []
    try:
        for step in steps:
            done.append(step)
            if not run.step(step):
                done.pop()
        run.finish()
        return None, done, run.script
    except (Mismatch, AssertionError) as problem:
        return str(problem), done, run.script
    finally:
        run.close()


def kind_of(problem):
    """What stays the same when the same failure occurs with other steps."""
    return None if problem is None else re.sub(r"m?\d+|'.*", '', problem.split('\n')[0])


class Cut:
    """The shortest list of steps so far that fails as the first one did."""
    def __init__(self, cluster, settings, standby, problem):
        self.cluster, self.settings, self.standby = cluster, settings, standby
        self.problem = problem
        self.script = None

    def fails(self, steps):
        problem, done, script = try_steps(self.cluster, self.settings, self.standby, steps)
        if kind_of(problem) != kind_of(self.problem):
            return None
        self.problem, self.script = problem, script
        return done

    def fails_alone(self, steps):
        """A standby takes time to create, and is not always needed."""
        self.standby = False
        done = self.fails(steps)
        self.standby = done is None
        return done


def report(cluster, settings, standby, steps, problem, script, options):
    print('cutting it down:', flush=True)
    give_up = time.monotonic() + options.shrink_seconds
    cut = Cut(cluster, settings, standby, problem)
    done = cut.fails_alone(steps) if standby else None
    done = done or cut.fails(steps)
    if done is None:
        print('it does not happen again with the same steps, which were')
        print('\n'.join(script))
        return
    shrink(done, cut.fails, lambda s: print('  %d steps' % len(s), flush=True),
           lambda: time.monotonic() < give_up)
    print('\nrocketq settings: %s%s' % (settings, ', with a standby' if cut.standby else ''))
    print('\n'.join(cut.script))
    print('\n%s' % cut.problem)


def main():
    options = parse_arguments()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print('seed %d' % seed, flush=True)
    cluster = Cluster(options.bindir, options.work, DATABASES)
    cluster.prepare()
    deadline = time.monotonic() + options.seconds
    runs = nsteps = 0
    try:
        while runs == 0 or time.monotonic() < deadline:
            settings, standby, steps = choose_run(seed + runs, options.steps)
            problem, done, script = try_steps(cluster, settings, standby, steps)
            runs += 1
            nsteps += len(done)
            if problem is not None:
                print('seed %d, after %d steps:' % (seed + runs - 1, len(done)))
                print('\n'.join(script[-15:]))
                print('\n%s\n' % problem, flush=True)
                report(cluster, settings, standby, done, problem, script, options)
                print('\nrepeat it with --seed %d --steps %d' % (seed + runs - 1, options.steps))
                return 1
    finally:
        cluster.remove()
    print('%d runs, %d steps' % (runs, nsteps))
    return 0


if __name__ == '__main__':
    sys.exit(main())
