/** The HTTP interface of Prisma's native query engine, as far as Prisma Client Python uses it. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'

import type { ClientRequest, Engine, TransactionOptions } from './engine.js'
import { QueryError, describe } from './errors.js'

const TRANSACTION_END = /^\/transaction\/([^/]+)\/(commit|rollback)$/
/** The client keeps its connections; closing one it is about to use would fail its request. */
const KEEP_ALIVE_MILLISECONDS = 120_000

/** @param onPanic called when the engine has trapped: nothing it holds can be trusted any more. */
export function serve(engine: Engine, onPanic: (trap: Error) => void): Server {
  const server = createServer((request, response) => {
    route(engine, request)
      .catch((thrown: unknown) => {
        if (thrown instanceof WebAssembly.RuntimeError) onPanic(thrown)
        return { errors: [describe(thrown)] }
      })
      .then((body) => send(response, body))
  })
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
  return server
}

async function route(engine: Engine, request: IncomingMessage): Promise<object> {
  const path = request.url ?? ''
  if (request.method === 'GET' && path === '/status') return { status: 'ok' }
  if (request.method === 'POST') {
    if (path === '/') {
      return engine.handle((await readJson(request)) as ClientRequest, transactionOf(request))
    }
    if (path === '/transaction/start') return engine.startTransaction((await readJson(request)) as TransactionOptions)
    const [, id, end] = TRANSACTION_END.exec(path) ?? []
    if (id !== undefined) return end === 'commit' ? engine.commit(id) : engine.rollback(id)
  }
  throw new QueryError(`${request.method} ${path} is not something this engine answers`, 'P2010')
}

function transactionOf(request: IncomingMessage): string | undefined {
  const id = request.headers['x-transaction-id']
  return Array.isArray(id) ? id[0] : id
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

/** Errors are answered with 200 as well: the client looks for them in the body. */
function send(response: ServerResponse, body: object): void {
  const text = Buffer.from(JSON.stringify(body))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length })
  response.end(text)
}
