"""How much there may be of what all topics share.

The janitor frees what transactions have given up, some time later.  So there are
two sums: of what certainly exists, so that a request which does not fit beside it
must be refused; and of what may still exist, so that a request which fits beside it
must succeed.  In between either is right.

Slots are given out in whole blocks: to a topic for its queues, and to each of its
groups for as many offsets.
"""

from reference import Refused, TOO_MANY, blocks

UNLIMITED = 1 << 30

# Settings, and their values in a run without them.
SETTINGS = {
    'rocketq.max_queues': UNLIMITED,
    'rocketq.max_groups': UNLIMITED,
    'rocketq.max_consumer_slots': UNLIMITED,
    'rocketq.max_queues_per_topic': UNLIMITED,
    'rocketq.max_groups_per_topic': UNLIMITED,
    'rocketq.max_consumer_slots_per_topic': UNLIMITED,
}


class Limits:
    def __init__(self, model, settings):
        self.model = model
        self.allowed = {name: int(settings.get(name, value)) for name, value in SETTINGS.items()}
        for name in ('rocketq.max_queues', 'rocketq.max_consumer_slots'):
            self.allowed[name] = blocks(self.allowed[name])
        self.left_over = {name: 0 for name in SETTINGS}

    def need(self, name, count, certain, possible):
        if count > 0 and certain + count > self.allowed[name]:
            raise Refused(TOO_MANY)
        if count > 0 and possible + self.left_over[name] + count > self.allowed[name]:
            self.model.either.add(TOO_MANY)

    # ---- sums ----

    def used(self):
        """sid -> number of queues that it certainly has"""
        used = {}
        states = [s.tx.state for s in self.model.sessions if s.tx is not None]
        for shapes in [self.model.topics] + [state.shapes for state in states]:
            for shape in shapes.values():
                if shape is not None:
                    used[shape.sid] = max(used.get(shape.sid, 0), shape.nqueues)
        # What a transaction has dropped exists for as long as that can be
        # rolled back.
        return used

    def need_queues(self, count):
        self.need('rocketq.max_queues', count, sum(blocks(n) for n in self.used().values()),
                  sum(blocks(len(s.queues)) for s in self.model.stores.values()))

    def need_slots(self, count):
        stores = self.model.stores
        certain = sum(blocks(n) * len(stores[sid].groups) for sid, n in self.used().items())
        possible = sum(blocks(len(g.offsets)) for s in stores.values() for g in s.groups.values())
        self.need('rocketq.max_consumer_slots', count, certain, possible)

    def need_groups(self, count):
        stores = self.model.stores
        self.need('rocketq.max_groups', count,
                  sum(len(stores[sid].groups) for sid in self.used()),
                  sum(len(s.groups) for s in stores.values()))

    def share_of_slots(self, groups_there, groups, queues_there, queues):
        """A slot for each group and queue; the difference is what may still be there."""
        name = 'rocketq.max_consumer_slots_per_topic'
        if groups_there * blocks(queues_there) > self.allowed[name]:
            raise Refused(TOO_MANY)
        if (groups + self.left_over['rocketq.max_groups']) * \
                blocks(queues + self.left_over['rocketq.max_queues']) > self.allowed[name]:
            self.model.either.add(TOO_MANY)

    # ---- what needs them ----

    def share(self, nqueues):
        if nqueues > self.allowed['rocketq.max_queues_per_topic']:
            raise Refused(TOO_MANY)

    def topic(self, nqueues):
        self.need_queues(blocks(nqueues))

    def again(self, shape, ngroups):
        """TRUNCATE: the same again."""
        self.need_queues(blocks(shape.nqueues))
        self.need_groups(ngroups)
        self.need_slots(ngroups * blocks(shape.nqueues))

    def growth(self, session, shape, nqueues):
        store = self.model.stores[shape.sid]
        if nqueues > max(shape.nqueues, self.allowed['rocketq.max_queues_per_topic']):
            raise Refused(TOO_MANY)
        if nqueues > shape.nqueues:
            there = len(list(self.model.visible_groups(session, shape.sid)))
            self.share_of_slots(there, len(store.groups), nqueues,
                                max(nqueues, len(store.queues)))
        more = blocks(nqueues) - blocks(len(store.queues))
        self.need_queues(more)
        self.need_slots(more * len(store.groups))

    def group(self, session, shape):
        store = self.model.stores[shape.sid]
        there = len(list(self.model.visible_groups(session, shape.sid)))
        self.need('rocketq.max_groups_per_topic', 1, there, len(store.groups))
        self.share_of_slots(there + 1, len(store.groups) + 1, shape.nqueues, len(store.queues))
        self.need_groups(1)
        self.need_slots(blocks(len(store.queues)))

    # ---- what the janitor has to take away ----

    def leave(self, queues=0, groups=0, slots=0):
        self.left_over['rocketq.max_queues'] += queues
        self.left_over['rocketq.max_groups'] += groups
        self.left_over['rocketq.max_groups_per_topic'] += groups
        self.left_over['rocketq.max_consumer_slots'] += slots

    def settled(self):
        for name in self.left_over:
            self.left_over[name] = 0
