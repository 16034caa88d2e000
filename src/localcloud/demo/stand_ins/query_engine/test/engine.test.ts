/** The engine over HTTP against a real PostgreSQL: an empty database named by DATABASE_URL. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'

import type pg from 'pg'

import { adapt, openPool, parseUrl } from '../src/database.js'
import { Engine } from '../src/engine.js'
import { serve } from '../src/server.js'

const url = process.env['DATABASE_URL']
const SCHEMA = `
datasource client {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
model Note {
  id     String   @id
  body   Json
  size   BigInt?
  labels String[]
}
`

/** What the client reads of an answer, right or wrong. */
interface Answer {
  data?: { result: any }
  errors?: { user_facing_error: { error_code: string; message: string } }[]
  id?: string
}

if (url !== undefined) {
  let pool: pg.Pool
  let server: ReturnType<typeof serve>

  before(async () => {
    const source = parseUrl(url)
    pool = openPool(source)
    await pool.query('CREATE TABLE "Note" (id text PRIMARY KEY, body jsonb NOT NULL, size bigint, labels text[])')
    const engine = await Engine.start(SCHEMA, adapt(pool, source.schema))
    server = serve(engine, (trap) => assert.fail(trap))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  after(async () => {
    server.close()
    await pool.query('DROP TABLE "Note"')
    await pool.end()
  })

  const post = async (path: string, body: object, transaction?: string): Promise<Answer> => {
    const { port } = server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: transaction === undefined ? {} : { 'x-transaction-id': transaction },
    })
    return (await response.json()) as Answer
  }
  const ask = (query: string, transaction?: string) => post('/', { query, variables: {} }, transaction)
  const create = (id: string) =>
    `mutation { result: createOneNote(data: {id: "${id}", body: "{\\"a\\":[1]}", size: 5, labels: ["x"]}) { id body size labels } }`
  const count = async () => (await ask('query { result: findManyNote { id } }')).data?.result.length

  test('what is written is read again', async () => {
    const { data } = await ask(create('first'))
    assert.deepEqual({ ...data?.result, body: JSON.parse(data?.result.body) }, { id: 'first', body: { a: [1] }, size: 5, labels: ['x'] })
  })

  test('a broken constraint has the code the client knows', async () => {
    assert.equal((await ask(create('first'))).errors?.[0]?.user_facing_error.error_code, 'P2002')
  })

  test('a transaction that is rolled back leaves nothing, one that is committed stays', async () => {
    for (const [end, notes] of [['rollback', 1], ['commit', 2]] as const) {
      const { id } = await post('/transaction/start', { max_wait: 2000, timeout: 5000 })
      await ask(create('second'), id)
      await post(`/transaction/${id}/${end}`, {})
      assert.equal(await count(), notes)
    }
  })

  test('a batch is carried out as a whole or not at all', async () => {
    const answer = await post('/', { batch: [{ query: create('third') }, { query: create('first') }], transaction: true })
    assert.equal(answer.errors?.[0]?.user_facing_error.error_code, 'P2002')
    assert.equal(await count(), 2)
  })

  test('a raw query returns types the adapter refuses by itself', async () => {
    const { data } = await ask(`query { result: queryRaw(query: "SELECT current_user::name AS me, interval '1 day' AS day", parameters: "[]") }`)
    assert.equal(data?.result[0].day.prisma__value, '1 day')
  })

  test("a raw query's mistake is told in PostgreSQL's words", async () => {
    const { errors } = await ask('query { result: queryRaw(query: "SELECT * FROM nothing", parameters: "[]") }')
    assert.match(errors?.[0]?.user_facing_error.message ?? '', /nothing/)
  })
}
