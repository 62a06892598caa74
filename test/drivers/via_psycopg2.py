# psycopg2: everything is a literal in the statement, bytes with their type.

import datetime
import sys

import psycopg2
from psycopg2.extras import Json

topic, spare = sys.argv[1:]

conn = psycopg2.connect('')
conn.autocommit = True
cur = conn.cursor()
q = cur.execute
q('SELECT rocketq.produce(%s, %s)', (topic, 'text \u00e9 \\x41'))
q('SELECT rocketq.produce(%s, %s)', (topic, '{"a": 1}'))
q('SELECT rocketq.produce(%s, %s)', (topic, Json({'b': 1})))
q('SELECT rocketq.produce(%s, %s)', (topic, bytes(range(256))))
q('SELECT rocketq.produce_batch(%s, %s)', (topic, ['one', 'two, "quoted"', '\\x33']))
q('SELECT rocketq.produce_batch(%s, %s)', (topic, [b'\x00\xff', b'\x01\xfe']))
q('''SELECT rocketq.produce(%s, %s, tag => %s, keys => %s, properties => %s, sharding_key => %s,
         queue_id => %s, transactional => %s)''',
  (topic, 'full', 'created', ['k1', 'k 2'], Json({'p': 1}), 's', 0, True))
q('SELECT rocketq.create_group(%s, %s, %s)',
  (topic, 'since', datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)))

alter = 'SELECT rocketq.alter_topic(%s, retention_time => %s)'
q(alter, (spare, 7200))
q(alter, (topic, '5 hours'))
q(alter, (topic, datetime.timedelta(days=3)))


def lag():
    q('SELECT sum(lag)::int FROM rocketq.groups WHERE topic = %s AND consumer_group = %s', (topic, 'since'))
    return cur.fetchone()[0]


before = lag()
q('BEGIN')
q('SELECT * FROM rocketq.consume(%s, %s, %s)', (topic, 'since', 100))
taken = cur.fetchall()
q('SELECT rocketq.commit_offset(%s, %s)', (topic, 'since'))
q('COMMIT')
print(before, len(taken), lag())
try:
    q('SELECT rocketq.produce(%s, %s)', (spare, bytes(range(256))))
    print('taken')
except psycopg2.DataError:
    print('refused')
