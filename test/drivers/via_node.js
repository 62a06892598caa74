// Node's pg: everything is sent without a type, buffers unchanged.

const { Client } = require('pg')

const [topic, spare] = process.argv.slice(2)
const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

async function main () {
  const client = new Client()
  await client.connect()
  const q = (sql, values) => client.query(sql, values)
  await q('SELECT rocketq.produce($1, $2)', [topic, 'text \u00e9 \\x41'])
  await q('SELECT rocketq.produce($1, $2)', [topic, '{"a": 1}'])
  await q('SELECT rocketq.produce($1, $2)', [topic, { b: 1 }])
  await q('SELECT rocketq.produce($1, $2::bytea)', [topic, all])
  await q('SELECT rocketq.produce_batch($1, $2)', [topic, ['one', 'two, "quoted"', '\\x33']])
  await q('SELECT rocketq.produce_batch($1, $2::bytea[])', [topic, [Buffer.from([0, 255]), Buffer.from([1, 254])]])
  await q(`SELECT rocketq.produce($1, $2, tag => $3, keys => $4, properties => $5, sharding_key => $6,
             queue_id => $7, transactional => $8)`,
  [topic, 'full', 'created', ['k1', 'k 2'], { p: 1 }, 's', 0, true])
  await q('SELECT rocketq.create_group($1, $2, $3)', [topic, 'since', new Date(Date.now() - 3600 * 1000)])
  const alter = 'SELECT rocketq.alter_topic($1, retention_time => $2)'
  await q(alter, [spare, 7200])
  await q(alter, [topic, '5 hours'])
  await q(alter, [topic, { toPostgres: () => '3 days' }])
  const lag = async () => (await q('SELECT sum(lag)::int AS lag FROM rocketq.groups WHERE topic = $1 AND consumer_group = $2',
    [topic, 'since'])).rows[0].lag
  const before = await lag()
  await q('BEGIN')
  const taken = await q('SELECT * FROM rocketq.consume($1, $2, $3)', [topic, 'since', 100])
  await q('SELECT rocketq.commit_offset($1, $2)', [topic, 'since'])
  await q('COMMIT')
  console.log(before, taken.rows.length, await lag())
  try {
    await q('SELECT rocketq.produce($1, $2)', [spare, all])
    console.log('taken')
  } catch (e) {
    if (!e.code.startsWith('22')) throw e
    console.log('refused')
  }
  await client.end()
}
main().catch(e => { console.error(e); process.exit(1) })
