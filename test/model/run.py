"""A run: steps, one at a time, on a fresh cluster and on the model."""

import itertools
import time

from cluster import Connection, ServerError, quote
from compare import Comparison
from limits import Limits
from reference import (IN_FAILED_TRANSACTION, LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, Model,
                       Refused, Waits)
from verbs import COLUMNS, VERBS, Mismatch

DATABASES = ['one', 'two']
SESSION_DATABASES = ['one', 'one', 'one', 'two']

VERIFY_EVERY = 10       # steps
STANDBY_EVERY = 8


class Run:
    def __init__(self, cluster, settings, standby):
        self.cluster = cluster
        self.script = []        # what was done, as a script
        self.bodies = itertools.count(1)
        self.settings = settings
        self.model = Model(len(SESSION_DATABASES), SESSION_DATABASES)
        self.model.limits = Limits(self.model, settings)
        cluster.fresh(settings, standby)
        self.connections = [Connection(cluster.primary, s.database, 'c%d' % s.number)
                            for s in self.model.sessions]
        self.monitors = {d: Connection(cluster.primary, d, 'monitor') for d in DATABASES}
        self.comparison = Comparison(self)
        self.connect()
        self.count = 0

    def connect(self):
        for c in self.connections + list(self.monitors.values()):
            c.close()
            c.connect()

    def close(self):
        for c in self.connections + list(self.monitors.values()):
            c.close()
        self.comparison.close()

    # ---- steps ----

    def step(self, step):
        """Do a step, and compare; False if there was nothing to do."""
        session = self.model.sessions[step.session]
        done = len(self.script)
        try:
            self.count += 1
            plan = VERBS[step.verb][1](self, session, **step.arguments)
            if plan is not None and plan is not True:
                self.statement(session, step.dare, *plan)
            if len(self.script) == done:
                return False
            self.comparison.compare()
            if self.count % VERIFY_EVERY == 0:
                self.comparison.verify()
            if self.count % STANDBY_EVERY == 0:
                self.comparison.compare_standby()
        except ServerError as problem:
            raise Mismatch('the server fails: %s' % problem) from problem
        self.comparison.check_log()
        return True

    def finish(self):
        """All sessions end, and the store must be sound, also after a restart."""
        try:
            for session in self.model.sessions:
                if session.tx is not None:
                    self.control(session, 'ROLLBACK', lambda s=session: self.model.abort(s))
            self.comparison.compare()
            self.comparison.verify()
            self.comparison.compare_standby()
            self.restart('immediate')
            self.comparison.compare()
            self.comparison.verify()
        except ServerError as problem:
            raise Mismatch('the server fails: %s' % problem) from problem
        self.comparison.check_log()

    def note(self, who, text):
        self.script.append('%-4s%s;' % (who, text))

    def send(self, session, sql):
        self.note('c%d' % session.number, sql.replace(COLUMNS, '*'))
        return self.connections[session.number].run(sql)

    def control(self, session, sql, done):
        """A statement that must succeed and does not involve a topic."""
        state, message = self.send(session, sql)
        if state is not None:
            raise Mismatch('%s: %s' % (state, message))
        done()
        return True

    def statement(self, session, dare, sql, effect):
        m = self.model
        implicit = session.tx is None
        if implicit:
            m.begin(session, implicit=True)
        tx = session.tx
        before = tx.state.copy(), tx.known.copy(), tx.snapshot
        states = None
        apply = None
        if tx.failed:
            states = (IN_FAILED_TRANSACTION,)
        else:
            m.take_snapshot(session)
            m.either.clear()
            if tx.serializable:
                # The model does not track whether others have read what it
                # writes.
                m.either.add(SERIALIZATION_FAILURE)
            try:
                apply = effect()
            except Refused as refused:
                states = refused.states
            except Waits:
                states = (LOCK_NOT_AVAILABLE,)
        if states is not None and not dare:
            # Errors limit what a transaction can still do, so they are rare.
            m.restore(tx, before[0])
            tx.known, tx.snapshot = before[1:]
            if implicit:
                session.tx = None
            return
        self.execute(session, sql, apply, states)

    def execute(self, session, sql, apply, states):
        waits = states == (LOCK_NOT_AVAILABLE,)
        implicit = session.tx.implicit
        if waits:
            self.send(session, "SET lock_timeout = '20ms'")
        state, result = self.send(session, sql)
        if state == SERIALIZATION_FAILURE and state in self.model.either:
            self.model.fail(session)
            return
        if states is not None:
            if state is None:
                raise Mismatch('this must be refused with %s, and is not' % '/'.join(states))
            if state not in states and state not in self.model.either:
                raise Mismatch('this must be refused with %s, and is with %s: %s'
                               % ('/'.join(states), state, result))
            if states != (IN_FAILED_TRANSACTION,):
                self.model.fail(session)
            if waits and implicit:
                self.send(session, 'RESET lock_timeout')
            return
        if state in self.model.either:
            self.model.fail(session)
            return
        if state is not None:
            raise Mismatch('this must succeed, and fails with %s: %s' % (state, result))
        apply(result)
        if implicit:
            self.model.commit(session, self.learn_queues(session))

    # ---- what the model cannot know ----

    def new_body(self, size):
        return 'm%d%s' % (next(self.bodies), '.' + 'x' * size if size else '')

    def body_sql(self, body):
        if '.' not in body:
            return quote(body)
        return "%s || repeat('x', %d)" % (quote(body.rstrip('x')), body.count('x'))

    def learn_queues(self, session, items=None):
        """The queues of messages produced without an explicit queue, by body."""
        if items is None:
            items = self.model.pending_alive(session)
        found = {}
        for sid in {p.sid for p in items if p.queue is None}:
            there = {body: int(q) for q, body in
                     self.monitors[session.database].rows(
                         'SELECT queue_id, rocketq.text(body) FROM %s'
                         % self.name_of(session, sid))}
            for p in items:
                if p.sid != sid or p.queue is not None:
                    continue
                if p.message.body not in there:
                    raise Mismatch('message %s is not there' % p.message.body[:30])
                found[p.message.body] = there[p.message.body]
                self.check_key(p, there[p.message.body])
        return found

    def name_of(self, session, sid):
        shapes = dict(self.model.topics)
        if session.tx is not None:
            shapes.update(session.tx.state.shapes)
        return next(key[1] for key, shape in shapes.items() if shape and shape.sid == sid)

    def check_key(self, pending, queue):
        """Messages with the same key go to the same queue."""
        if not 0 <= queue < pending.nqueues:
            raise Mismatch('a message is in queue %d of %d' % (queue, pending.nqueues))
        if pending.message.key is None:
            return
        key = (pending.message.key, pending.nqueues)
        if self.model.key_queues.setdefault(key, queue) != queue:
            raise Mismatch('key %s is in queue %d, and was in queue %d'
                           % (key[0], queue, self.model.key_queues[key]))

    def owned_queues(self, session):
        """(group, queue) that the session's transaction owns.

        It is asked itself, since others do not see a group that it has created.
        """
        if session.tx.implicit:
            return set()
        return {(group, int(queue)) for group, queue in self.connections[session.number].rows(
            'SELECT group_id, queue_id FROM rocketq.get_groups() '
            'WHERE owner_pid = pg_backend_pid()')}

    # ---- ends of transactions ----

    def commit(self, session):
        tx = session.tx
        state, message = self.send(session, 'COMMIT')
        if state == SERIALIZATION_FAILURE and tx.serializable:
            return self.committed_in_vain(session)
        if state is not None:
            raise Mismatch('COMMIT must succeed, and fails with %s: %s' % (state, message))
        if tx.failed:
            self.model.abort(session)
        else:
            self.model.commit(session, self.learn_queues(session))
        return True

    def arm(self, session, fault):
        self.control(session, "SET LOCAL rocketq.fault = '%s'" % fault, lambda: None)

    def commit_fails(self, session):
        self.arm(session, 'precommit-done=error')
        state, message = self.send(session, 'COMMIT')
        if state != 'XX000':
            raise Mismatch('COMMIT must fail at a stop point, and gives %s: %s' % (state, message))
        return self.committed_in_vain(session)

    def committed_in_vain(self, session):
        self.comparison.settle(session.database)
        self.model.fail_commit(session, self.comparison.ends(session.database))
        return True

    def commit_dies(self, session, point, flushed):
        self.comparison.allow_kill()
        self.arm(session, '%s=%s' % (point, 'stop' if flushed else 'kill'))
        self.note('c%d' % session.number, 'COMMIT')
        connection = self.connections[session.number]
        if flushed and connection.start_and_stop('COMMIT'):
            # Others continue, and flush what it has logged.
            self.note('', '-- another transaction commits, then kill -9')
            self.comparison.flush()
            connection.kill()
        state, message = connection.finish() if flushed else connection.run('COMMIT')
        if state is None:
            # It did not reach the point.
            self.comparison.kills -= 1
            self.control(session, 'RESET rocketq.fault', lambda: None)
            self.model.commit(session, self.learn_queues(session))
            return True
        if state != 'gone':
            raise Mismatch('COMMIT must die at a stop point, and gives %s: %s' % (state, message))
        self.note('', '-- the server recovers')
        # Until it has noticed, it would accept connections, and then end them.
        for monitor in self.monitors.values():
            wait_for(lambda m=monitor: m.run('SELECT 1')[0] is not None, 'the server goes down')
        self.connect()
        if point in ('commit-callback', 'resolve-flags', 'resolve-wal'):
            self.model.commit(session, self.learn_queues(session))
        else:
            self.model.fail_commit(session, self.comparison.ends(session.database), crashed=True)
        self.restarted()
        return True

    # ---- the server ----

    def restart(self, mode):
        self.note('', '-- pg_ctl -m %s restart' % mode)
        for c in self.connections + list(self.monitors.values()):
            c.close()
        self.cluster.primary.stop(mode)
        if mode == 'fast':
            self.model.flushed()
        self.cluster.primary.start()
        self.connect()
        self.restarted()

    def restarted(self):
        self.model.restarted()
        self.comparison.after_restart()
        if self.cluster.standby is not None:
            # WAL has no record of the end of a transaction that a crash has
            # ended, but of what the janitor settles afterwards; a reload wakes
            # it.
            before = self.ticks()
            self.monitors[DATABASES[0]].rows('SELECT pg_reload_conf()')
            wait_for(lambda: self.ticks() > before, 'the janitor does a round')

    def ticks(self):
        return int(self.monitors[DATABASES[0]].rows(
            "SELECT ticks FROM rocketq.workers WHERE worker = 'janitor'")[0][0])

    def fail_over(self):
        if self.cluster.standby is None:
            return
        self.comparison.compare_standby()
        self.note('', '-- the primary dies, and pg_ctl promote')
        self.comparison.close()
        self.cluster.fail_over()
        for c in self.connections + list(self.monitors.values()):
            c.server = self.cluster.primary
        self.connect()
        self.restarted()

    def wait_for_janitor(self):
        """Wait for two complete rounds, unless they are too rare."""
        if self.settings['rocketq.janitor_interval'] != '50ms':
            return
        self.note('', '-- the janitor has two rounds')
        until = self.ticks() + 3
        wait_for(lambda: self.ticks() >= until, 'the janitor does its rounds')
        self.model.limits.settled()

    def checkpoint(self):
        self.note('', '-- CHECKPOINT')
        self.monitors[DATABASES[0]].rows('CHECKPOINT')
        self.model.flushed()


def wait_for(condition, what, give_up=30):
    deadline = time.monotonic() + give_up
    while not condition():
        if time.monotonic() > deadline:
            raise Mismatch('timed out: ' + what)
        time.sleep(0.01)
