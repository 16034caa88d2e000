/** Stands in for Meilisearch: documents by their words, in memory, for whoever has the key. */
import { createServer } from 'node:http'

const need = (name) => {
  if (!process.env[name]) throw new Error(`${name} is not set`)
  return process.env[name]
}
const indexes = new Map()
const deleted = [0] // by the number of the task: the first is of those that delete nothing

function answer(method, path, body) {
  const [, task] = /^\/tasks\/(\d+)$/.exec(path) ?? []
  if (task) return { status: 'succeeded', details: { deletedDocuments: deleted[task] } }
  const [, index, part = ''] = /^\/indexes\/([\w-]+)(?:\/(.*))?$/.exec(path) ?? []
  const documents = indexes.get(index) ?? indexes.set(index, []).get(index)
  if (part === 'search') return { hits: documents.filter((each) => JSON.stringify(each).includes(body.q)) }
  if (part === 'stats') return { numberOfDocuments: documents.length }
  if (part === 'settings' && method === 'GET') return { filterableAttributes: ['user'] }
  if (part === '' && method === 'GET') return { uid: index }
  if (part.startsWith('documents') && method === 'GET') return { results: documents }
  if (part === 'documents/delete') {
    const people = JSON.parse(/^user IN (\[.*\])$/.exec(body.filter)[1])
    const left = documents.filter(({ user }) => !people.includes(user))
    indexes.set(index, left)
    return { taskUid: deleted.push(documents.length - left.length) - 1, status: 'enqueued' }
  }
  if (part.startsWith('documents') && body) documents.push(...[body].flat())
  return { taskUid: 0, status: 'enqueued' }
}

process.once('SIGTERM', () => process.exit(0)) // the first process of a container ignores it else
try {
  const names = ['MEILI_ENV', 'MEILI_DB_PATH', 'MEILI_NO_ANALYTICS', 'MEILI_EXPERIMENTAL_DUMPLESS_UPGRADE']
  names.forEach(need)
  const key = need('MEILI_MASTER_KEY')
  const [host, port] = need('MEILI_HTTP_ADDR').split(':')
  createServer(async (request, response) => {
    const path = request.url.split('?')[0]
    const body = Buffer.concat(await request.toArray()).toString()
    if (path === '/health') return response.end('{"status":"available"}')
    if (request.headers.authorization !== `Bearer ${key}`) return response.writeHead(403).end('{"code":"invalid_api_key"}')
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer(request.method, path, body ? JSON.parse(body) : undefined)))
  }).listen(Number(port), host)
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
