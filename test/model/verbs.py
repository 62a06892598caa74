"""What sessions do: each verb has the SQL, what the model expects of it, and how
the model changes when the server has done it.

A verb is a function of a run, a session and random arguments, and makes sense in
any state, so that any part of a list of steps is a list of steps.  It returns None
if there is nothing to do, else the SQL and a function that asks the model: that
one raises Refused or Waits, or returns the function to be called with the server's
rows.
"""

from collections import namedtuple

from cluster import quote
from reference import (DIVISION_BY_ZERO, DUPLICATE_OBJECT, EXCLUSIVE, INVALID_PARAMETER, Message,
                       Pending, Refused)

TOPICS = ['t0', 't1', 't2']
GROUPS = ['g0', 'g1']
SAVEPOINTS = ['a', 'b']
TAGS = [None, 'red', 'blue']
KEYS = [None, 'k1', 'k2']
MAX_QUEUES = 10

Step = namedtuple('Step', 'verb session dare arguments')


class Mismatch(Exception):
    """The server does not agree with the model."""


VERBS = {}          # name -> (weight, function, generators of its arguments)


def verb(weight, **generators):
    def register(function):
        VERBS[function.__name__] = (weight, function, generators)
        return function
    return register


def draw(rng, nsessions):
    """A random step."""
    names = list(VERBS)
    name = rng.choices(names, [VERBS[n][0] for n in names])[0]
    generators = VERBS[name][2]
    return Step(name, rng.randrange(nsessions), rng.random() < 0.15,
                {key: generators[key](rng) for key in generators})


def one_of(values):
    return lambda rng: rng.choice(values)


def number(low, high):
    return lambda rng: rng.randint(low, high)


def maybe_queue(rng):
    return rng.choice([None] + list(range(4)))


TOPIC = one_of(['t0', 't0', 't0', 't1', 't1', 't2'])
GROUP = one_of(['g0', 'g0', 'g1'])
QUEUE = number(0, 4)


def literal(value):
    return 'NULL' if value is None else quote(value)


# ---- transactions ----

@verb(16, level=one_of(['READ COMMITTED'] * 4 + ['REPEATABLE READ', 'SERIALIZABLE']))
def begin(run, s, level):
    if s.tx is not None:
        return None
    return run.control(s, 'BEGIN ISOLATION LEVEL ' + level, lambda: run.model.begin(s, level))


@verb(7)
def commit(run, s):
    if s.tx is None:
        return None
    return run.commit(s)


@verb(3)
def rollback(run, s):
    if s.tx is None:
        return None
    return run.control(s, 'ROLLBACK', lambda: run.model.abort(s))


@verb(4)
def commit_fails(run, s):
    """The commit fails after its entries have been put into their queues."""
    if s.tx is None or s.tx.failed or not s.tx.wants_room_at_end():
        return None
    return run.commit_fails(s)


@verb(4, point=one_of(['precommit-sort', 'enqueue-store', 'enqueue-wal', 'enqueue-done',
                       'offset-wal', 'group-drop-wal', 'precommit-done', 'precommit-done',
                       'precommit-done', 'precommit-done', 'commit-callback',
                       'resolve-flags', 'resolve-wal']), flushed=one_of([True, True, False]))
def commit_dies(run, s, point, flushed):
    """The process is killed in its commit, and with it the server.

    What it has logged by then may be on disk, or not.
    """
    if s.tx is None or s.tx.failed or not s.tx.wants_room_at_end():
        return None
    if s.tx.serializable:
        return None     # it could fail before it comes to the point
    return run.commit_dies(s, point, flushed)


@verb(10, name=one_of(SAVEPOINTS))
def savepoint(run, s, name):
    if s.tx is None or s.tx.failed:
        return None
    return run.control(s, 'SAVEPOINT ' + name, lambda: run.model.savepoint(s, name))


@verb(10, name=one_of(SAVEPOINTS))
def rollback_to(run, s, name):
    at = run.model.find_save(s, name) if s.tx else None
    if at is None:
        return None
    return run.control(s, 'ROLLBACK TO ' + name, lambda: run.model.rollback_to(s, at))


@verb(4, name=one_of(SAVEPOINTS))
def release(run, s, name):
    at = run.model.find_save(s, name) if s.tx else None
    if at is None or s.tx.failed:
        return None

    def done():
        del s.tx.saves[at:]
    return run.control(s, 'RELEASE ' + name, done)


# ---- producing ----

def produced(run, s, shape, messages, queue, direct=False):
    items = [Pending(shape.sid, queue, m, shape.nqueues) for m in messages]
    if direct:
        run.model.enqueue(items, run.learn_queues(s, items), direct=True)
        run.model.flushed()
        return
    s.tx.state.pending += items
    s.tx.touched.add((shape.sid, queue))


def common_arguments(tag, key, queue):
    return 'tag => %s, sharding_key => %s, queue_id => %s' % (
        literal(tag), literal(key), 'NULL' if queue is None else queue)


def open_to_produce(run, s, topic, queue):
    shape = run.model.open(s, topic)
    if queue is not None:
        run.model.check_queue(shape, queue)
    return shape


@verb(16, topic=TOPIC, tag=one_of(TAGS), key=one_of(KEYS), queue=maybe_queue,
      size=one_of([0] * 20 + [3000, 60000]))
def produce(run, s, topic, tag, key, queue, size):
    body = run.new_body(size)

    def effect():
        shape = open_to_produce(run, s, topic, queue)
        return lambda rows: produced(run, s, shape,
                                     [Message(rows[0][0], body, tag, key)], queue)
    return ('SELECT rocketq.produce(%s, %s::text, %s)'
            % (quote(topic), run.body_sql(body), common_arguments(tag, key, queue)), effect)


@verb(3, topic=TOPIC, tag=one_of(TAGS), key=one_of(KEYS), queue=maybe_queue)
def produce_direct(run, s, topic, tag, key, queue):
    """With transactional => false, which no rollback undoes."""
    if queue is None and s.tx and s.tx.state.locks.get((s.database, topic)) == EXCLUSIVE:
        return None     # nobody else can be asked which queue it is in
    body = run.new_body(0)

    def effect():
        shape = open_to_produce(run, s, topic, queue)
        run.model.check_at_once(s, topic, shape)
        return lambda rows: produced(run, s, shape, [Message(rows[0][0], body, tag, key)],
                                     queue, direct=True)
    return ('SELECT rocketq.produce(%s, %s::text, %s, transactional => false)'
            % (quote(topic), run.body_sql(body), common_arguments(tag, key, queue)), effect)


@verb(4, topic=TOPIC, tag=one_of(TAGS), key=one_of(KEYS), queue=maybe_queue, count=number(0, 5))
def produce_batch(run, s, topic, tag, key, queue, count):
    bodies = [run.new_body(0) for _ in range(count)]

    def effect():
        shape = open_to_produce(run, s, topic, queue)

        def apply(rows):
            if len(rows) != count:
                raise Mismatch('%d ids for %d messages' % (len(rows), count))
            produced(run, s, shape, [Message(r[0], b, tag, key)
                                     for r, b in zip(rows, bodies)], queue)
        return apply
    return ('SELECT rocketq.produce_batch(%s, ARRAY[%s]::text[], %s)'
            % (quote(topic), ', '.join(map(run.body_sql, bodies)),
               common_arguments(tag, key, queue)), effect)


@verb(4, topic=TOPIC, tag=one_of(TAGS), key=one_of(KEYS), count=number(1, 3))
def insert(run, s, topic, tag, key, count):
    bodies = [run.new_body(0) for _ in range(count)]

    def effect():
        shape = run.model.open(s, topic)
        return lambda rows: produced(run, s, shape,
                                     [Message(None, b, tag, key) for b in bodies], None)
    return ('INSERT INTO %s (tag, sharding_key, body) VALUES %s'
            % (topic, ', '.join('(%s, %s, convert_to(%s, \'UTF8\'))'
                                % (literal(tag), literal(key), run.body_sql(b))
                                for b in bodies)), effect)


@verb(3, topic=TOPIC, tag=one_of(TAGS), key=one_of(KEYS), count=number(1, 3))
def copy(run, s, topic, tag, key, count):
    bodies = [run.new_body(0) for _ in range(count)]

    def effect():
        shape = run.model.open(s, topic)
        return lambda rows: produced(run, s, shape,
                                     [Message(None, b, tag, key) for b in bodies], None)
    lines = ["'%s,%s,\\x%s'" % (tag or '', key or '', b.encode().hex()) for b in bodies]
    return ("COPY %s (tag, sharding_key, body) FROM PROGRAM $$printf '%%s\\n' %s$$ (FORMAT csv)"
            % (topic, ' '.join(lines)), effect)


@verb(2, topic=TOPIC, count=number(1, 3))
def insert_fails(run, s, topic, count):
    """The last of several rows fails, and aborts the others."""
    def effect():
        run.model.open(s, topic)
        raise Refused(DIVISION_BY_ZERO)
    return ('INSERT INTO %s (body) SELECT convert_to((1 / (%d - i))::text, \'UTF8\') '
            'FROM generate_series(0, %d) i' % (topic, count, count), effect)


# ---- reading ----

COLUMNS = 'queue_id, queue_offset, message_id, tag, sharding_key, rocketq.text(body)'


def row_of(queue, offset, message):
    return (str(queue), str(offset), message.id, message.tag, message.key, message.body)


def same(got, wanted):
    """An id that INSERT has not returned is not compared."""
    return len(got) == len(wanted) and all(
        g[:2] == w[:2] and g[3:] == w[3:] and w[2] in (None, g[2]) for g, w in zip(got, wanted))


def check_rows(got, wanted, what):
    if not same(got, wanted):
        raise Mismatch('%s gives\n    %s\ninstead of\n    %s' % (
            what, '\n    '.join(map(str, map(short, got))) or 'nothing',
            '\n    '.join(map(str, map(short, wanted))) or 'nothing'))


def short(row):
    return tuple(v if v is None or len(v) < 30 else v[:30] + '...' for v in row)


@verb(6, topic=TOPIC)
def select(run, s, topic):
    """With the transaction's snapshot."""
    def effect():
        shape = run.model.open(s, topic)
        wanted = [row_of(*m) for m in run.model.visible(s, shape)]
        return lambda rows: check_rows(rows, wanted, 'SELECT')
    return 'SELECT %s FROM %s ORDER BY 1, 2' % (COLUMNS, topic), effect


@verb(3, topic=TOPIC, queue=QUEUE, first=number(0, 8), past=number(0, 1), most=number(1, 8),
      tags=one_of(['*', '*', 'red', 'red || blue']))
def pull(run, s, topic, queue, first, past, most, tags):
    at = min(first, relative(run, s, topic, None, queue, True, past))

    def effect():
        shape = run.model.open(s, topic)
        run.model.check_queue(shape, queue)
        run.model.check_offset(shape, queue, at)
        wanted = [row_of(queue, off, m) for off, m in run.model.readable(shape, queue, at)
                  if matches(tags, m)][:most]
        return lambda rows: check_rows(rows, wanted, 'pull')
    return ('SELECT %s FROM rocketq.pull(%s, %d, %d, %d, %s)'
            % (COLUMNS, quote(topic), queue, at, most, quote(tags)), effect)


@verb(3, topic=TOPIC, group=GROUP, queue=QUEUE)
def look(run, s, topic, group, queue):
    def effect():
        shape = run.model.open(s, topic)
        run.model.check_queue(shape, queue)
        g = run.model.need_group(s, shape.sid, group)
        wanted = (0, len(run.model.stores[shape.sid].queues[queue]), g.offsets[queue])

        def apply(rows):
            if rows != [tuple(map(str, wanted))]:
                raise Mismatch('offsets are %s instead of %s' % (rows[0], wanted))
        return apply
    return ('SELECT rocketq.min_offset({0}, {1}), rocketq.max_offset({0}, {1}), '
            'rocketq.committed_offset({0}, {2}, {1})'
            .format(quote(topic), queue, quote(group)), effect)


def matches(tags, message):
    return tags == '*' or message.tag in [t.strip() for t in tags.split('||')]


@verb(18, topic=TOPIC, group=GROUP, most=one_of([1, 2, 3, 1000, 1000, 1000]),
      tags=one_of(['*', '*', '*', 'red', 'red || blue']), auto=one_of([False, False, True]),
      wait=one_of(['0'] * 9 + ['20 ms']))
def consume(run, s, topic, group, most, tags, auto, wait):
    if tags != '*':
        most = 1000     # all queues are looked at, else we would not know which

    def effect():
        shape = run.model.open(s, topic)
        found = run.model.find_group(s, shape.sid, group)
        if found is None:
            run.model.limits.group(s, shape)
        before = run.owned_queues(s)

        def apply(rows):
            the_group = found or run.model.make_group(
                s, shape, group, transactional=run.model.dropped_here(s, shape.sid, group))
            Consumption(run, s, shape, the_group, most, tags, auto).check(rows, before)
        return apply
    return ('SELECT %s FROM rocketq.consume(%s, %s, %d, %s, auto_commit => %s, wait => %s)'
            % (COLUMNS, quote(topic), quote(group), most, quote(tags), auto, quote(wait)), effect)


class Consumption:
    """A look at what consume has given.

    It begins with whichever queue it likes.  Of each queue that no other transaction
    of the group holds it gives what is next, and goes on to another one only when
    there is no more.
    """
    def __init__(self, run, s, shape, group, most, tags, auto):
        self.run, self.s, self.shape, self.group = run, s, shape, group
        self.most, self.tags, self.auto = most, tags, auto
        model = run.model
        self.position = {}
        self.wanted = {}
        for q in range(shape.nqueues):
            if model.is_busy(s, group.gid, q):
                continue
            at = model.position(s, group, q)
            if (group.gid, q) not in s.tx.known and at >= len(model.stores[shape.sid].queues[q]):
                continue
            self.position[q] = at
            self.wanted[q] = [row_of(q, off, m) for off, m in model.readable(shape, q, at)
                              if matches(tags, m)]

    def check(self, rows, owned_before):
        runs = self.split(rows)
        for i, q in enumerate(runs):
            complete = len(runs[q]) == len(self.wanted[q])
            check_rows(runs[q], self.wanted[q][:len(runs[q])], 'consume of queue %d' % q)
            if not complete and (i < len(runs) - 1 or len(rows) < self.most):
                raise Mismatch('consume leaves messages of queue %d behind' % q)
        new = self.newly_owned(owned_before)
        if len(rows) < self.most:
            for q in self.wanted:
                check_rows(runs.get(q, []), self.wanted[q], 'consume of queue %d' % q)
            visited = set(self.wanted)
        else:
            visited = set(runs) | (new & set(self.wanted))
        for q in visited:
            full = len(rows) >= self.most and runs and q == list(runs)[-1]
            self.move(q, int(runs[q][-1][1]) + 1 if full else self.end(q))

    def split(self, rows):
        runs = {}
        last = None
        for row in rows:
            q = int(row[0])
            if q not in self.wanted:
                raise Mismatch('consume gives a message of queue %d, which is not free' % q)
            if q != last and q in runs:
                raise Mismatch('consume gives messages of queue %d in two parts' % q)
            runs.setdefault(q, []).append(row)
            last = q
        if len(rows) > self.most:
            raise Mismatch('consume gives %d messages, %d were wanted' % (len(rows), self.most))
        return runs

    def newly_owned(self, before):
        return {q for _, q in self.run.owned_queues(self.s) - before}

    def end(self, q):
        return len(self.run.model.stores[self.shape.sid].queues[q])

    def move(self, q, to):
        model, key = self.run.model, (self.group.gid, q)
        r = model.reader(self.s, self.shape, self.group, q)
        if to == self.position[q]:
            return
        model.set_reader(self.s, self.group, q, reading=True, next=to)
        if self.auto and not (r.committing and r.commit >= to):
            model.set_reader(self.s, self.group, q, committing=True, commit=to)


# ---- moving groups ----

@verb(10, topic=TOPIC, group=GROUP)
def commit_consumed(run, s, topic, group):
    def effect():
        shape = run.model.open(s, topic)
        g = run.model.need_group(s, shape.sid, group)

        def apply(rows):
            count = 0
            for (gid, q), r in list(s.tx.state.readers.items()):
                if gid != g.gid or not r.reading:
                    continue
                count += 1
                if not r.committing or r.commit < r.next:
                    run.model.set_reader(s, g, q, committing=True, commit=r.next)
            if rows != [(str(count),)]:
                raise Mismatch('commit_offset says %s queues, not %d' % (rows[0][0], count))
        return apply
    return 'SELECT rocketq.commit_offset(%s, %s)' % (quote(topic), quote(group)), effect


def relative(run, s, topic, group, queue, from_end, delta):
    """An offset near the group's offset or the queue's end; the model may know neither."""
    shape = s.tx.state.shapes.get((s.database, topic)) if s.tx else None
    shape = shape or run.model.topics.get((s.database, topic))
    if shape is None or queue >= shape.nqueues:
        return max(delta, 0)
    store = run.model.stores[shape.sid]
    at = len(store.queues[queue])
    if not from_end:
        at = max([g.offsets[queue] for g in store.groups.values() if g.name == group] or [0])
    return at + delta


@verb(5, topic=TOPIC, group=GROUP, queue=QUEUE, from_end=one_of([True, False]),
      delta=number(-2, 2))
def commit_offset(run, s, topic, group, queue, from_end, delta):
    to = relative(run, s, topic, group, queue, from_end, delta)

    def effect():
        shape = run.model.open(s, topic)
        run.model.check_queue(shape, queue)
        g = run.model.need_group(s, shape.sid, group)
        r = run.model.reader(s, shape, g, queue)
        low = r.commit if r.committing else g.offsets[queue]
        if not low <= to <= len(run.model.stores[shape.sid].queues[queue]):
            raise Refused(INVALID_PARAMETER)
        return lambda rows: run.model.set_reader(s, g, queue, committing=True, commit=to)
    return ('SELECT rocketq.commit_offset(%s, %s, %d, %d)'
            % (quote(topic), quote(group), queue, to), effect)


@verb(4, topic=TOPIC, group=GROUP, queue=QUEUE, from_end=one_of([True, False]),
      delta=number(-3, 1))
def reset_offset(run, s, topic, group, queue, from_end, delta):
    to = relative(run, s, topic, group, queue, from_end, delta)

    def effect():
        shape = run.model.open(s, topic)
        run.model.check_queue(shape, queue)
        g = run.model.need_group(s, shape.sid, group)
        run.model.reader(s, shape, g, queue)
        if not 0 <= to <= len(run.model.stores[shape.sid].queues[queue]):
            raise Refused(INVALID_PARAMETER)
        return lambda rows: run.model.set_reader(s, g, queue, reading=True, next=to,
                                                 committing=True, commit=to)
    return ('SELECT rocketq.reset_offset(%s, %s, %d, %d)'
            % (quote(topic), quote(group), queue, to), effect)


@verb(3, topic=TOPIC, group=GROUP, where=one_of(['first', 'last']))
def reset_group(run, s, topic, group, where):
    def effect():
        shape = run.model.open(s, topic)
        g = run.model.need_group(s, shape.sid, group)
        for q in range(shape.nqueues):
            run.model.reader(s, shape, g, q)

        def apply(rows):
            for q in range(shape.nqueues):
                to = len(run.model.stores[shape.sid].queues[q]) if where == 'last' else 0
                run.model.set_reader(s, g, q, reading=True, next=to, committing=True, commit=to)
        return apply
    return ('SELECT rocketq.reset_offset(%s, %s, %s)'
            % (quote(topic), quote(group), quote(where)), effect)


@verb(3, topic=TOPIC, group=GROUP, where=one_of(['first', 'last']))
def create_group(run, s, topic, group, where):
    def effect():
        shape = run.model.open(s, topic)
        if run.model.find_group(s, shape.sid, group) is not None:
            raise Refused(DUPLICATE_OBJECT)
        run.model.limits.group(s, shape)
        return lambda rows: run.model.make_group(s, shape, group, last=where == 'last')
    return ('SELECT rocketq.create_group(%s, %s, %s)'
            % (quote(topic), quote(group), quote(where)), effect)


@verb(3, topic=TOPIC, group=GROUP)
def drop_group(run, s, topic, group):
    def effect():
        shape = run.model.open(s, topic)
        g = run.model.need_group(s, shape.sid, group)
        for q in range(shape.nqueues):
            run.model.own_queue(s, g.gid, q)
        return lambda rows: s.tx.state.dropped.add(g.gid)
    return 'SELECT rocketq.drop_group(%s, %s)' % (quote(topic), quote(group)), effect


# ---- topics ----

@verb(5, topic=TOPIC, nqueues=number(1, 5))
def create_topic(run, s, topic, nqueues):
    def effect():
        apply = run.model.create_topic(s, topic, nqueues)
        return lambda rows: apply()
    return 'SELECT rocketq.create_topic(%s, %d)' % (quote(topic), nqueues), effect


@verb(1, topic=TOPIC)
def drop_topic(run, s, topic):
    def effect():
        run.model.open(s, topic, EXCLUSIVE)
        return lambda rows: run.model.set_shape(s, topic, None)
    return 'SELECT rocketq.drop_topic(%s)' % quote(topic), effect


@verb(2, topic=TOPIC)
def truncate(run, s, topic):
    def effect():
        shape = run.model.open(s, topic, EXCLUSIVE)
        run.model.limits.again(shape, len(list(run.model.visible_groups(s, shape.sid))))
        return lambda rows: run.model.truncate(s, topic, shape)
    return 'TRUNCATE ' + topic, effect


@verb(6, topic=TOPIC, nqueues=number(1, MAX_QUEUES))
def alter_queues(run, s, topic, nqueues):
    if s.tx is not None and any(queue is None for _, queue in s.tx.touched):
        return None     # which queues cannot go is not known before the commit

    def effect():
        shape = run.model.open(s, topic, EXCLUSIVE)
        run.model.check_shrink(s, shape, nqueues)
        run.model.limits.growth(s, shape, nqueues)
        return lambda rows: run.model.alter(s, topic, shape, nqueues, shape.retention)
    return 'SELECT rocketq.alter_topic(%s, queues => %d)' % (quote(topic), nqueues), effect


@verb(1, topic=TOPIC, retention=one_of(['default', '-1', '3 days', '5 days']))
def alter_retention(run, s, topic, retention):
    def effect():
        shape = run.model.open(s, topic, EXCLUSIVE)
        return lambda rows: run.model.alter(s, topic, shape, shape.nqueues, retention)
    return ('SELECT rocketq.alter_topic(%s, retention_time => %s)'
            % (quote(topic), quote(retention)), effect)


# ---- the server ----

@verb(1)
def crash(run, s):
    run.restart('immediate')


@verb(0.5)
def restart(run, s):
    run.restart('fast')


@verb(2)
def checkpoint(run, s):
    run.checkpoint()


@verb(0.5)
def fail_over(run, s):
    """When it has caught up, the standby is promoted; from then on there is none."""
    run.fail_over()


@verb(2)
def settle(run, s):
    """Everything given up has certainly been removed."""
    run.wait_for_janitor()
