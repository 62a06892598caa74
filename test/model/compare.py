"""Compares everything visible on a server with the model."""

import time

from cluster import Connection
from reference import RETENTION_DEFAULT
from verbs import COLUMNS, Mismatch, check_rows, row_of

GIVE_UP = 30            # seconds
RETENTION = {RETENTION_DEFAULT: '259200', '-1': None, '3 days': '259200', '5 days': '432000'}


def lines(rows):
    return '\n    '.join(map(str, rows)) or 'nothing'


class Comparison:
    def __init__(self, run):
        self.run = run
        self.model = run.model
        self.standby = {}
        self.kills = 0          # that the run has asked for

    def close(self):
        for c in self.standby.values():
            c.close()
        self.standby = {}

    # ---- views ----

    def settle(self, database, connections=None):
        """Wait until everything that transactions left behind is resolved."""
        deadline = time.monotonic() + GIVE_UP
        connection = (connections or self.run.monitors)[database]
        locked = self.locked(database)
        while {name for name, in connection.rows(
                'SELECT topic::text FROM rocketq.queues WHERE unresolved > 0')} - locked:
            if time.monotonic() > deadline:
                raise Mismatch('messages stay unresolved')
            time.sleep(0.01)

    def ends(self, database):
        return {(name, int(q)): int(end) for name, q, end in self.run.monitors[database].rows(
            'SELECT topic::text, queue_id, end_offset FROM rocketq.queues')}

    def shapes(self, database):
        """Topics that can be compared: no open transaction changes them."""
        return {name: shape for (d, name), shape in self.model.topics.items()
                if d == database and not self.model.locked_exclusively((d, name))}

    def locked(self, database):
        """Topics of which nothing is known at the moment."""
        return {name for s in self.model.sessions if s.tx is not None
                for (d, name), mode in s.tx.state.locks.items()
                if d == database and mode == 'exclusive'}

    def unknown_to_standby(self, database):
        """Topics that a transaction has had for itself, and has given up by rolling back to
        a savepoint: a standby keeps the lock, and a change of the topic, until it ends."""
        return {name for s in self.model.sessions if s.tx is not None
                for d, name in s.tx.exclusive if d == database}

    def check(self, rows, wanted, locked, what):
        got = sorted(r for r in rows if r[0] not in locked)
        wanted = sorted(wanted)
        if got != wanted:
            missing = [w for w in wanted if w not in got]
            extra = [g for g in got if g not in wanted]
            raise Mismatch('%s shows\n    %s\ninstead of\n    %s'
                           % (what, lines(extra), lines(missing)))

    def compare(self, connections=None, where=''):
        connections = connections or self.run.monitors
        for database, connection in connections.items():
            shapes = self.shapes(database)
            locked = self.locked(database)
            if where:
                locked |= self.unknown_to_standby(database)
                shapes = {n: s for n, s in shapes.items() if n not in locked}
            self.settle(database, connections)
            self.compare_queues(connection, shapes, locked, where)
            self.compare_groups(connection, shapes, locked, where)
            self.compare_topics(connection, shapes, locked, where)
            for name, shape in shapes.items():
                self.compare_messages(connection, name, shape, where)

    def compare_queues(self, connection, shapes, locked, where):
        wanted = []
        for name, shape in shapes.items():
            for q in range(shape.nqueues):
                n = str(len(self.model.stores[shape.sid].queues[q]))
                wanted.append((name, str(q), '0', n, n, n))
        self.check(connection.rows(
            'SELECT topic::text, queue_id, min_offset, max_offset, end_offset, messages '
            'FROM rocketq.queues'), wanted, locked, where + 'rocketq.queues')

    def compare_groups(self, connection, shapes, locked, where):
        sessions = {str(c.pg.backend_pid): c.name for c in self.run.connections}
        rows = [r[:-1] + (sessions.get(r[-1], r[-1]),) for r in connection.rows(
            'SELECT topic::text, consumer_group, queue_id, committed_offset, max_offset, lag, '
            'owner_pid FROM rocketq.groups')]
        got = {r[:3]: r for r in rows}
        wanted = []
        for name, shape in shapes.items():
            for group in self.model.decided_groups(shape):
                for q in range(shape.nqueues):
                    end = len(self.model.stores[shape.sid].queues[q])
                    self.adopt(group, shape, q, got.get((name, group.name, str(q))))
                    at = group.offsets[q]
                    wanted.append((name, group.name, str(q), str(at), str(end), str(end - at),
                                   self.owner(group.gid, q) if not where else None))
        self.check(rows, wanted, locked, where + 'rocketq.groups')

    def adopt(self, group, shape, q, row):
        """A group may or may not have skipped what was rolled back at the end of a queue."""
        at, entries = group.offsets[q], self.model.stores[shape.sid].queues[q]
        if row is not None and at < int(row[3]) <= len(entries) and \
                all(e.aborted for e in entries[at:int(row[3])]):
            group.offsets[q] = int(row[3])

    def owner(self, gid, queue):
        for s in self.model.sessions:
            if s.tx is not None and (gid, queue) in s.tx.state.owns:
                return self.run.connections[s.number].name
        return None

    def compare_topics(self, connection, shapes, locked, where):
        wanted = []
        for name, shape in shapes.items():
            queues = self.model.stores[shape.sid].queues[:shape.nqueues]
            groups = self.model.decided_groups(shape)
            lags = [sum(len(e) - g.offsets[q] for q, e in enumerate(queues)) for g in groups]
            wanted.append((name, str(shape.nqueues), str(sum(map(len, queues))), '0',
                           str(len(groups)), str(max(lags)) if lags else None,
                           RETENTION[shape.retention]))
        self.check(connection.rows(
            'SELECT topic::text, queues, messages, unresolved, groups, max_lag, '
            'extract(epoch FROM retention_time)::bigint FROM rocketq.topics'),
                   wanted, locked, where + 'rocketq.topics')

    # ---- messages ----

    def compare_messages(self, connection, name, shape, where):
        wanted = [row_of(q, off, m) for q in range(shape.nqueues)
                  for off, m in self.model.readable(shape, q, 0)]
        check_rows(connection.rows('SELECT %s FROM %s ORDER BY 1, 2' % (COLUMNS, name)),
                   wanted, where + name)

    def verify(self):
        for connections in self.run.monitors, self.standby:
            for connection in connections.values():
                problems = connection.rows('SELECT * FROM rocketq.verify()')
                if problems:
                    raise Mismatch('verify() says\n    %s' % lines(problems))

    # ---- after a restart ----

    def after_restart(self):
        """What no commit has flushed may go with a crash: groups that consume has made, and
        entries that were rolled back."""
        for database, connection in self.run.monitors.items():
            for (name, q), end in self.ends(database).items():
                if (database, name) in self.model.topics:
                    self.model.forget_soft(self.model.topics[database, name].sid, q, end)
            there = {r for r in connection.rows(
                'SELECT topic::text, consumer_group FROM rocketq.groups')}
            for name, shape in self.shapes(database).items():
                groups = self.model.stores[shape.sid].groups
                for gid, group in list(groups.items()):
                    if not group.durable and (name, group.name) not in there:
                        del groups[gid]
        self.model.flushed()

    # ---- the standby ----

    def flush(self):
        """A commit brings all WAL before it to disk, and so to the standby."""
        next(iter(self.run.monitors.values())).rows(
            "SELECT pg_logical_emit_message(true, 'model', 'flush')")
        self.model.flushed()

    def compare_standby(self):
        server = self.run.cluster.standby
        if server is None:
            return
        if not self.standby:
            self.standby = {d: Connection(server, d, 'monitor').connect()
                            for d in self.run.monitors}
        self.flush()
        monitor = next(iter(self.run.monitors.values()))
        lsn = monitor.rows('SELECT pg_current_wal_flush_lsn()')[0][0]
        there = next(iter(self.standby.values()))
        deadline = time.monotonic() + GIVE_UP
        while there.rows("SELECT pg_last_wal_replay_lsn() >= '%s'" % lsn) != [('t',)]:
            if time.monotonic() > deadline:
                raise Mismatch('the standby does not replay')
            time.sleep(0.01)
        self.compare(self.standby, 'standby: ')

    def allow_kill(self):
        self.kills += 1

    def check_log(self):
        for server in self.run.cluster.servers():
            complaints = server.complaints()
            if len([c for c in complaints if 'signal 9: Killed' in c]) <= self.kills:
                complaints = [c for c in complaints if 'signal 9: Killed' not in c]
            if complaints:
                raise Mismatch('the server log says\n    ' + lines(complaints))
