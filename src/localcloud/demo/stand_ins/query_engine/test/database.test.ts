import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseUrl } from '../src/database.js'

test("Prisma's settings are taken out of the URL, PostgreSQL's stay", () => {
  const source = parseUrl(
    'postgresql://u:p%40ss@localhost/db?schema=x&connection_limit=3&pool_timeout=60&pgbouncer=true&application_name=y',
  )
  assert.deepEqual(source, {
    connectionString: 'postgresql://u:p%40ss@localhost/db?application_name=y',
    schema: 'x',
    connections: 3,
    patience: 60_000,
  })
})

test('without settings a query waits ten seconds for a connection', () => {
  const source = parseUrl('postgresql://u:p@localhost/db')
  assert.equal(source.patience, 10_000)
  assert.equal(source.schema, undefined)
  assert.ok(source.connections >= 3)
})
