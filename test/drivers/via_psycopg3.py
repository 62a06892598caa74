# psycopg 3: strings are sent without a type, bytes and JSON with one.

import datetime
import sys

import psycopg
from psycopg.types.json import Json, Jsonb

topic, spare = sys.argv[1:]

with psycopg.connect(autocommit=True) as conn:
    q = conn.execute
    q('SELECT rocketq.produce(%s, %s)', (topic, 'text \u00e9 \\x41'))
    q('SELECT rocketq.produce(%s, %s)', (topic, '{"a": 1}'))
    q('SELECT rocketq.produce(%s, %s)', (topic, Json({'b': 1})))
    q('SELECT rocketq.produce(%s, %s)', (topic, bytes(range(256))))
    q('SELECT rocketq.produce_batch(%s, %s)', (topic, ['one', 'two, "quoted"', '\\x33']))
    q('SELECT rocketq.produce_batch(%s, %s)', (topic, [b'\x00\xff', b'\x01\xfe']))
    q('''SELECT rocketq.produce(%s, %s, tag => %s, keys => %s, properties => %s, sharding_key => %s,
             queue_id => %s, transactional => %s)''',
      (topic, 'full', 'created', ['k1', 'k 2'], Jsonb({'p': 1}), 's', 0, True))
    q('SELECT rocketq.create_group(%s, %s, %s)',
      (topic, 'since', datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)))
    alter = 'SELECT rocketq.alter_topic(%s, retention_time => %s)'
    q(alter, (spare, 7200))
    q(alter, (topic, '5 hours'))
    q(alter, (topic, datetime.timedelta(days=3)))
    lag = 'SELECT sum(lag)::int FROM rocketq.groups WHERE topic = %s AND consumer_group = %s'
    before = q(lag, (topic, 'since')).fetchone()[0]
    with conn.transaction():
        taken = q('SELECT * FROM rocketq.consume(%s, %s, %s)', (topic, 'since', 100)).fetchall()
        q('SELECT rocketq.commit_offset(%s, %s)', (topic, 'since'))
    after = q(lag, (topic, 'since')).fetchone()[0]
    print(before, len(taken), after)
    try:
        q('SELECT rocketq.produce(%s, %s)', (spare, bytes(range(256))))
        print('taken')
    except psycopg.DataError:
        print('refused')
