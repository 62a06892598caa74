# asyncpg: asks the server for the types and accepts only values of these.

import asyncio
import datetime
import sys

import asyncpg

topic, spare = sys.argv[1:]


async def main():
    conn = await asyncpg.connect()
    q = conn.fetch
    await q('SELECT rocketq.produce($1, $2)', topic, 'text \u00e9 \\x41')
    await q('SELECT rocketq.produce($1, $2)', topic, '{"a": 1}')
    await q('SELECT rocketq.produce($1, $2::jsonb)', topic, '{"b": 1}')
    await q('SELECT rocketq.produce($1, $2::bytea)', topic, bytes(range(256)))
    await q('SELECT rocketq.produce_batch($1, $2)', topic, ['one', 'two, "quoted"', '\\x33'])
    await q('SELECT rocketq.produce_batch($1, $2::bytea[])', topic, [b'\x00\xff', b'\x01\xfe'])
    await q('''SELECT rocketq.produce($1, $2, tag => $3, keys => $4, properties => $5, sharding_key => $6,
                   queue_id => $7, transactional => $8)''',
            topic, 'full', 'created', ['k1', 'k 2'], '{"p": 1}', 's', 0, True)
    await q('SELECT rocketq.create_group($1, $2, $3::timestamptz)',
            topic, 'since', datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))
    alter = 'SELECT rocketq.alter_topic($1, retention_time => $2)'
    await q(alter, spare, '7200')
    await q(alter, topic, '5 hours')
    await q('SELECT rocketq.alter_topic($1, retention_time => $2::interval)', topic, datetime.timedelta(days=3))
    lag = 'SELECT sum(lag)::int FROM rocketq.groups WHERE topic = $1 AND consumer_group = $2'
    before = await conn.fetchval(lag, topic, 'since')
    async with conn.transaction():
        taken = await q('SELECT * FROM rocketq.consume($1, $2, $3)', topic, 'since', 100)
        await q('SELECT rocketq.commit_offset($1, $2)', topic, 'since')
    print(before, len(taken), await conn.fetchval(lag, topic, 'since'))
    try:
        await q('SELECT rocketq.produce($1, $2)', spare, bytes(range(256)))
        print('taken')
    except asyncpg.DataError:
        print('refused')


asyncio.run(main())
