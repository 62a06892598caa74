"""The reference model: what a server with topics must look like after each step.

Nothing in here knows how rocketq is built.  This is what README promises, with
one session acting at a time:

Storage      what a topic holds: queues of entries, and consumer groups.  TRUNCATE
             and DROP/CREATE give a topic another storage.
Shape        which storage a name stands for, with how many queues and for how
             long messages are kept.  DDL changes shapes, in its transaction only.
Transaction  pending messages, readers, locks, shapes, groups created and dropped.
             A savepoint is a copy of all that (State), which ROLLBACK TO restores.

A statement that must be refused raises Refused, and one that must wait for another
session raises Waits; neither has changed anything except locks by then, and those
are released with the failed statement's (sub)transaction.
"""

import copy
import itertools
from collections import namedtuple

# Modes of locks on topics, as far as they differ in their conflicts.
SHARED = 'shared'
EXCLUSIVE = 'exclusive'

# SQLSTATEs
UNDEFINED_TABLE = '42P01'
DUPLICATE_TABLE = '42P07'
UNDEFINED_OBJECT = '42704'
DUPLICATE_OBJECT = '42710'
INVALID_PARAMETER = '22023'
OBJECT_IN_USE = '55006'
NOT_IN_STATE = '55000'
OFFSET_ILLEGAL = '2201X'
LOCK_NOT_AVAILABLE = '55P03'
IN_FAILED_TRANSACTION = '25P02'
TOO_MANY = '53400'
DIVISION_BY_ZERO = '22012'
SERIALIZATION_FAILURE = '40001'

RETENTION_DEFAULT = 'default'

# Queues and offsets of groups are given out in blocks of so many.
BLOCK = 8


def blocks(nslots):
    """How many slots somebody has who needs so many."""
    return -(-nslots // BLOCK) * BLOCK


class Refused(Exception):
    """The server must refuse the statement with one of these SQLSTATEs."""
    def __init__(self, *states):
        super().__init__('/'.join(states))
        self.states = states


class Waits(Exception):
    """The statement must wait until another session's transaction has ended."""


Message = namedtuple('Message', 'id body tag key')
# commit None: without a transaction, as the direct'th of all these
Entry = namedtuple('Entry', 'message aborted commit direct')
Pending = namedtuple('Pending', 'sid queue message nqueues')
Shape = namedtuple('Shape', 'sid nqueues retention born')     # born: created by that commit
Reader = namedtuple('Reader', 'sid reading next committing commit')
NO_READER = Reader(None, False, 0, False, 0)


class Group:
    def __init__(self, gid, name, offsets):
        self.gid = gid
        self.name = name
        self.offsets = offsets
        self.durable = True     # False: a crash may forget it


class Storage:
    def __init__(self, sid, nqueues):
        self.sid = sid
        self.queues = [[] for _ in range(nqueues)]
        self.groups = {}        # gid -> Group

    def resize(self, nqueues):
        """Queues and their offsets come and go; what is left stays as it is."""
        for array in [self.queues] + [g.offsets for g in self.groups.values()]:
            del array[nqueues:]
            while len(array) < nqueues:
                array.append([] if array is self.queues else 0)


class State:
    """What ROLLBACK TO SAVEPOINT puts back."""
    def __init__(self):
        self.shapes = {}        # name -> Shape, None: dropped
        self.pending = []
        self.readers = {}       # (gid, queue) -> Reader
        self.locks = {}         # name -> mode
        self.owns = set()       # (gid, queue)
        self.created = set()    # gid
        self.dropped = set()    # gid

    def copy(self):
        other = copy.copy(self)
        for name, value in vars(self).items():
            setattr(other, name, value.copy())
        return other


class Transaction:
    def __init__(self, directs, implicit, level):
        self.directs = directs  # messages without a transaction that were there
        self.implicit = implicit
        self.repeatable = level != 'READ COMMITTED'
        self.serializable = level == 'SERIALIZABLE'
        self.snapshot = None
        self.began = 0          # the last commit before
        self.failed = False
        self.saves = []         # (name, State)
        self.state = State()
        self.touched = set()    # (sid, queue) produced into, rolled back or not
        self.known = set()      # (gid, queue) looked at, rolled back or not
        self.stores = set()     # storages made or grown here
        self.exclusive = set()  # (database, topic) locked so, rolled back or not

    def writes(self):
        s = self.state
        return bool(s.pending or s.shapes or s.created or s.dropped or
                    any(r.committing for r in s.readers.values()))

    def wants_room_at_end(self):
        s = self.state
        return bool(s.pending or s.dropped or
                    any(r.committing for r in s.readers.values()))


class Session:
    def __init__(self, number, database):
        self.number = number
        self.database = database
        self.tx = None


class Model:
    def __init__(self, nsessions, databases):
        self.sessions = [Session(i, databases[i % len(databases)]) for i in range(nsessions)]
        self.topics = {}        # (database, name) -> Shape
        self.stores = {}        # sid -> Storage
        self.commits = 0
        self.directs = 0        # messages produced without a transaction
        self.ids = itertools.count(1)
        self.key_queues = {}    # (key, nqueues) -> queue
        self.soft = set()       # (sid, queue, offset) of what a crash may forget
        self.limits = None      # set by the run
        self.either = set()     # SQLSTATEs with which the statement at hand may be refused

    # ---- finding things ----

    def others(self, session):
        return [s.tx.state for s in self.sessions
                if s is not session and s.tx is not None]

    def lock(self, session, name, mode):
        key = (session.database, name)
        for state in self.others(session):
            held = state.locks.get(key)
            if held is not None and EXCLUSIVE in (held, mode):
                raise Waits('lock on ' + name)
        held = session.tx.state.locks.get(key)
        if held != EXCLUSIVE:
            session.tx.state.locks[key] = mode
        if mode == EXCLUSIVE:
            session.tx.exclusive.add(key)

    def look_up(self, session, name):
        """The shape that a name stands for in this session, without taking a lock."""
        key = (session.database, name)
        shape = session.tx.state.shapes.get(key, self.topics.get(key))
        if shape is None:
            raise Refused(UNDEFINED_TABLE)
        if not session.tx.implicit and shape.born is not None and shape.born > session.tx.began:
            # PostgreSQL may cache in a transaction that the name did not
            # exist, or meant another relation.
            self.either.add(UNDEFINED_TABLE)
        return shape

    def open(self, session, name, mode=SHARED):
        self.look_up(session, name)
        self.lock(session, name, mode)
        return self.look_up(session, name)

    def check_queue(self, shape, queue):
        if not 0 <= queue < shape.nqueues:
            raise Refused(INVALID_PARAMETER)

    def check_at_once(self, session, name, shape):
        """A message that no rollback undoes needs a queue that no rollback removes."""
        now = self.topics.get((session.database, name))
        if now is None or (now.sid, now.nqueues) != (shape.sid, shape.nqueues):
            raise Refused(NOT_IN_STATE)

    def check_offset(self, shape, queue, offset):
        if offset > len(self.stores[shape.sid].queues[queue]):
            raise Refused(OFFSET_ILLEGAL)

    def visible_groups(self, session, sid):
        """Groups of a storage, and whether another transaction is changing them."""
        others = self.others(session)
        for group in self.stores[sid].groups.values():
            doubt = any(group.gid in s.created or group.gid in s.dropped for s in others)
            if group.gid not in session.tx.state.dropped:
                yield group, doubt

    def find_group(self, session, sid, name):
        found = [(g, doubt) for g, doubt in self.visible_groups(session, sid) if g.name == name]
        for group, doubt in found:
            if not doubt:
                return group
        if found:
            raise Waits('transaction that decides on group ' + name)
        return None

    def need_group(self, session, sid, name):
        group = self.find_group(session, sid, name)
        if group is None:
            raise Refused(UNDEFINED_OBJECT)
        return group

    def is_busy(self, session, gid, queue):
        return any((gid, queue) in s.owns for s in self.others(session))

    def own_queue(self, session, gid, queue):
        if self.is_busy(session, gid, queue):
            raise Waits('queue %d of group' % queue)
        session.tx.state.owns.add((gid, queue))

    def reader(self, session, shape, group, queue):
        """Lock a queue of a group in order to move it."""
        self.own_queue(session, group.gid, queue)
        session.tx.known.add((group.gid, queue))
        readers = session.tx.state.readers
        return readers.setdefault((group.gid, queue), NO_READER._replace(sid=shape.sid))

    def set_reader(self, session, group, queue, **changes):
        readers = session.tx.state.readers
        readers[group.gid, queue] = readers[group.gid, queue]._replace(**changes)

    def position(self, session, group, queue):
        r = session.tx.state.readers.get((group.gid, queue), NO_READER)
        if not r.reading and not r.committing:
            return group.offsets[queue]
        return max(r.next if r.reading else 0, r.commit if r.committing else 0)

    # ---- groups ----

    def make_group(self, session, shape, name, last=False, transactional=True):
        store = self.stores[shape.sid]
        group = Group(next(self.ids), name,
                      [len(q) if last else 0 for q in store.queues])
        for i in range(shape.nqueues, len(group.offsets)):
            group.offsets[i] = 0
        store.groups[group.gid] = group
        if transactional:
            session.tx.state.created.add(group.gid)
        else:
            group.durable = False
        return group

    def dropped_here(self, session, sid, name):
        return any(g.name == name and g.gid in session.tx.state.dropped
                   for g in self.stores[sid].groups.values())

    def forget_group(self, gid):
        for store in self.stores.values():
            group = store.groups.pop(gid, None)
            if group is not None:
                self.limits.leave(groups=1, slots=blocks(len(group.offsets)))

    # ---- shapes ----

    def set_shape(self, session, name, shape):
        session.tx.state.shapes[session.database, name] = shape

    def new_store(self, session, nqueues):
        sid = next(self.ids)
        self.stores[sid] = Storage(sid, nqueues)
        session.tx.stores.add(sid)
        return sid

    def create_topic(self, session, name, nqueues):
        key = (session.database, name)
        self.limits.share(nqueues)
        if session.tx.state.shapes.get(key, self.topics.get(key)) is not None \
                or (key in self.topics and key not in session.tx.state.shapes):
            raise Refused(DUPLICATE_TABLE)
        # Storage is made before the name is taken.
        self.limits.topic(nqueues)
        if any(s.shapes.get(key) is not None for s in self.others(session)):
            raise Waits('transaction that creates ' + name)
        return lambda: self.created_topic(session, name, nqueues)

    def created_topic(self, session, name, nqueues):
        session.tx.state.locks[session.database, name] = EXCLUSIVE
        sid = self.new_store(session, nqueues)
        self.set_shape(session, name, Shape(sid, nqueues, RETENTION_DEFAULT, None))

    def truncate(self, session, name, shape):
        sid = self.new_store(session, shape.nqueues)
        for group, _ in self.visible_groups(session, shape.sid):
            again = Group(next(self.ids), group.name, [0] * shape.nqueues)
            self.stores[sid].groups[again.gid] = again
        self.set_shape(session, name, shape._replace(sid=sid))

    def check_shrink(self, session, shape, nqueues):
        store = self.stores[shape.sid]
        if any(sid == shape.sid and q >= nqueues
               for sid, q in session.tx.touched):
            raise Refused(OBJECT_IN_USE)
        groups = [g for g, _ in self.visible_groups(session, shape.sid)]
        for i in range(nqueues, shape.nqueues):
            first = min((g.offsets[i] for g in groups), default=0)
            if any(not e.aborted for e in store.queues[i][first:]):
                raise Refused(OBJECT_IN_USE)

    def alter(self, session, name, shape, nqueues, retention):
        store = self.stores[shape.sid]
        if nqueues > len(store.queues):
            store.resize(nqueues)
            session.tx.stores.add(shape.sid)
        self.set_shape(session, name, shape._replace(nqueues=nqueues, retention=retention))

    # ---- transactions ----

    def begin(self, session, level='READ COMMITTED', implicit=False):
        session.tx = Transaction(self.directs, implicit, level)
        session.tx.began = self.commits

    def take_snapshot(self, session):
        tx = session.tx
        if not tx.repeatable or tx.snapshot is None:
            tx.snapshot = self.commits

    def savepoint(self, session, name):
        tx = session.tx
        tx.saves.append((name, tx.state.copy()))

    def find_save(self, session, name):
        saves = session.tx.saves
        for i in range(len(saves) - 1, -1, -1):
            if saves[i][0] == name:
                return i
        return None

    def rollback_to(self, session, i):
        tx = session.tx
        del tx.saves[i + 1:]
        self.restore(tx, tx.saves[i][1].copy())
        tx.failed = False

    def restore(self, tx, state):
        for gid in tx.state.created - state.created:
            self.forget_group(gid)
        tx.state = state

    def fail(self, session):
        """A statement has failed; PostgreSQL rolls back to the innermost savepoint at once."""
        tx = session.tx
        if tx.implicit:
            self.abort(session)
            return
        self.restore(tx, tx.saves[-1][1].copy() if tx.saves else State())
        tx.failed = True

    def abort(self, session):
        tx = session.tx
        self.restore(tx, State())
        session.tx = None
        self.drop_unused(tx)

    def drop_unused(self, tx):
        """Remove storages without a name, and uncommitted queues."""
        shapes = {s.sid: s for s in self.topics.values()}
        for s in self.sessions:
            if s.tx is not None:
                for state in [s.tx.state] + [save for _, save in s.tx.saves]:
                    for shape in state.shapes.values():
                        if shape is not None:
                            shapes.setdefault(shape.sid, shape)
        for sid in list(self.stores):
            if sid not in shapes:
                self.cut(sid, 0)
                del self.stores[sid]
        for sid in tx.stores & set(shapes):
            self.cut(sid, shapes[sid].nqueues)

    def cut(self, sid, nqueues):
        store = self.stores[sid]
        fewer = max(blocks(len(store.queues)) - blocks(nqueues), 0)
        self.limits.leave(queues=fewer, slots=fewer * len(store.groups),
                          groups=len(store.groups) if nqueues == 0 else 0)
        store.resize(nqueues)

    def pending_alive(self, session):
        """The messages that a commit now would put into queues, in order."""
        state = session.tx.state
        alive = {s.sid for s in list(self.topics.values()) + list(state.shapes.values()) if s}
        for key, shape in state.shapes.items():
            old = self.topics.get(key)
            if old is not None and (shape is None or shape.sid != old.sid):
                alive.discard(old.sid)
        return [p for p in state.pending if p.sid in alive]

    def enqueue(self, pending, queue_of, aborted=False, direct=False):
        self.commits += 0 if direct else 1
        for p in pending:
            queue = p.queue if p.queue is not None else queue_of[p.message.body]
            self.directs += 1 if direct else 0
            self.stores[p.sid].queues[queue].append(
                Entry(p.message, aborted, None if direct else self.commits, self.directs))

    def commit(self, session, queue_of):
        """queue_of maps the body of each message without an explicit queue to its queue."""
        tx = session.tx
        state = tx.state
        pending = self.pending_alive(session)
        for key, shape in state.shapes.items():
            if shape is None:
                self.topics.pop(key, None)
            else:
                born = self.commits + 1 if shape.born is None else shape.born
                self.topics[key] = shape._replace(born=born)
                tx.stores.add(shape.sid)
        self.enqueue(pending, queue_of)
        for (gid, queue), r in state.readers.items():
            group = self.stores[r.sid].groups.get(gid) if r.sid in self.stores else None
            if r.committing and group is not None:
                group.offsets[queue] = r.commit
        for gid in state.dropped:
            self.forget_group(gid)
        if tx.writes():
            self.flushed()
        session.tx = None
        self.drop_unused(tx)

    def fail_commit(self, session, ends, crashed=False):
        """The commit failed when entries were in their queues already.

        "ends" says where the database's queues end now.  If the server went down
        with it, some of the entries may not be there, else all are.
        """
        shapes = {key[1]: shape for key, shape in self.topics.items()
                  if key[0] == session.database}
        self.commits += 1
        for name, shape in shapes.items():
            pending = [p for p in self.pending_alive(session)
                       if p.sid == shape.sid and (p.queue or 0) < shape.nqueues]
            count = 0
            for q in range(shape.nqueues):
                entries = self.stores[shape.sid].queues[q]
                while len(entries) < ends.get((name, q), 0):
                    if not crashed:
                        self.soft.add((shape.sid, q, len(entries)))
                    entries.append(Entry(Message(None, None, None, None), True, self.commits,
                                         self.directs))
                    count += 1
            if count > len(pending) or not crashed and \
                    count < len([p for p in pending if p.queue is not None]):
                raise AssertionError('%d entries of %d messages are in %s'
                                     % (count, len(pending), name))
        self.abort(session)

    # ---- crashes ----

    def flushed(self):
        for store in self.stores.values():
            for group in store.groups.values():
                group.durable = True
        self.soft.clear()

    def forget_soft(self, sid, queue, end):
        """After a crash, the queue ends here."""
        if sid in self.stores and queue < len(self.stores[sid].queues) and \
                all((sid, queue, off) in self.soft
                    for off in range(end, len(self.stores[sid].queues[queue]))):
            del self.stores[sid].queues[queue][end:]

    def restarted(self):
        for session in self.sessions:
            if session.tx is not None:
                self.abort(session)

    # ---- what can be seen ----

    def visible(self, session, shape):
        """What SELECT shows, as (queue, offset, message)."""
        tx = session.tx

        def seen(e):
            if e.aborted:
                return False
            if e.commit is None:
                return not tx.repeatable or e.direct <= tx.directs
            return e.commit <= tx.snapshot
        return [(q, off, e.message)
                for q in range(shape.nqueues)
                for off, e in enumerate(self.stores[shape.sid].queues[q]) if seen(e)]

    def readable(self, shape, queue, first):
        """What pull and consume find from an offset on, as (offset, message)."""
        entries = self.stores[shape.sid].queues[queue]
        return [(off, entries[off].message) for off in range(first, len(entries))
                if not entries[off].aborted]

    def locked_exclusively(self, key):
        return any(s.tx is not None and s.tx.state.locks.get(key) == EXCLUSIVE
                   for s in self.sessions)

    def decided_groups(self, shape):
        """Committed groups; those that an open transaction creates are omitted."""
        doubtful = set()
        for s in self.sessions:
            if s.tx is not None:
                doubtful |= s.tx.state.created
        return [g for g in self.stores[shape.sid].groups.values() if g.gid not in doubtful]
