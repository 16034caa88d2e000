/** The connection to PostgreSQL: a Prisma database URL becomes a pool, and the pool a driver adapter. */
import { availableParallelism } from 'node:os'

import { PrismaPg } from '@prisma/adapter-pg'
import { type ErrorCapturingDriverAdapter, bindAdapter } from '@prisma/driver-adapter-utils'
import pg from 'pg'

export interface Datasource {
  connectionString: string
  schema: string | undefined
  /** Connections held at most; by default what Prisma's native engine takes. */
  connections: number
  /** Milliseconds a query waits for a connection. */
  patience: number
}

/** Settings of Prisma's URL that PostgreSQL does not know, and that mean nothing to this engine. */
const FOREIGN_SETTINGS = ['pgbouncer', 'socket_timeout', 'statement_cache_size']

/** Read a Prisma database URL. Source of names and defaults: Prisma's reference of connection URLs. */
export function parseUrl(text: string): Datasource {
  const url = new URL(text)
  const take = (name: string): string | undefined => {
    const value = url.searchParams.get(name) ?? undefined
    url.searchParams.delete(name)
    return value
  }
  FOREIGN_SETTINGS.forEach(take)
  const schema = take('schema')
  const connections = take('connection_limit')
  const poolTimeout = take('pool_timeout')
  const connectTimeout = take('connect_timeout')
  return {
    connectionString: url.toString(),
    schema,
    connections: connections === undefined ? availableParallelism() * 2 + 1 : Number(connections),
    patience: Number(poolTimeout ?? connectTimeout ?? 10) * 1000,
  }
}

/**
 * Types in PostgreSQL's catalog that the adapter refuses although the native engine returns them, and the type whose text
 * form each shares. Object identifiers are fixed in PostgreSQL's pg_type.dat.
 */
const READ_AS = new Map([
  [19, 25], // name -> text
  [1003, 1009], // name[] -> text[]
  [1186, 25], // interval -> text
  [2205, 25], // regclass -> text
  [2206, 25], // regtype -> text
  [2278, 25], // void -> text
])

interface RowDescription {
  fields: { dataTypeID: number }[]
}

/** A client knows the connection it reads from; the published types leave it out. */
interface WithConnection {
  connection: { prependListener(event: 'rowDescription', listener: (row: RowDescription) => void): void }
}

export function openPool(source: Datasource): pg.Pool {
  const pool = new pg.Pool({
    connectionString: source.connectionString,
    max: source.connections,
    connectionTimeoutMillis: source.patience,
  })
  // PostgreSQL may end an idle connection (a restart, for one); the pool opens another when it needs one.
  pool.on('error', (error) => console.error(`query engine: lost an idle connection: ${error.message}`))
  pool.on('connect', (client) => {
    const { connection } = client as unknown as WithConnection
    connection.prependListener('rowDescription', ({ fields }) => {
      for (const field of fields) field.dataTypeID = READ_AS.get(field.dataTypeID) ?? field.dataTypeID
    })
  })
  return pool
}

export function adapt(pool: pg.Pool, schema: string | undefined): ErrorCapturingDriverAdapter {
  return bindAdapter(new PrismaPg(pool, schema === undefined ? undefined : { schema }))
}
