/** Stands in for Prisma's native query engine: same arguments, same environment, same interface. */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { adapt, openPool, parseUrl } from './database.js'
import { Engine } from './engine.js'
import { serve } from './server.js'

const PARENT_CHECK_MILLISECONDS = 2000
/** How a native engine that panicked ends. */
const PANICKED = 101

const { values: options } = parseArgs({
  options: {
    version: { type: 'boolean', short: 'V', default: false },
    port: { type: 'string', short: 'p' },
    'enable-metrics': { type: 'boolean' },
    'enable-raw-queries': { type: 'boolean' },
  },
})

if (options.version) {
  console.log(`query-engine ${await engineCommit()}`)
} else {
  await start(Number(options.port))
}

/** The commit that the WASM engine was built from; its package's version ends in it. */
async function engineCommit(): Promise<string> {
  const manifest = new URL(import.meta.resolve('@prisma/query-engine-wasm/package.json'))
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
  return version.split('.').at(-1) ?? version
}

async function start(port: number): Promise<void> {
  const source = parseUrl(databaseUrl())
  const pool = openPool(source)
  const schema = await readFile(environment('PRISMA_DML_PATH'), 'utf8')
  const engine = await Engine.start(schema, adapt(pool, source.schema))

  const server = serve(engine, (trap) => {
    console.error('query engine: panicked', trap)
    process.exit(PANICKED)
  })
  server.listen(port, '127.0.0.1')

  const stop = async (): Promise<void> => {
    server.close()
    await pool.end()
    process.exit(0)
  }
  process.once('SIGINT', () => void stop())
  process.once('SIGTERM', () => void stop())
  // A client that was killed cannot end its engine.
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stop()
  }, PARENT_CHECK_MILLISECONDS).unref()
}

/** The client may override the schema's datasource; otherwise LiteLLM's names this variable. */
function databaseUrl(): string {
  const overrides = JSON.parse(process.env['OVERWRITE_DATASOURCES'] ?? '[]') as { url?: string }[]
  return overrides[0]?.url ?? environment('DATABASE_URL')
}

function environment(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}
