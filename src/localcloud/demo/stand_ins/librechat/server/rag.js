/** Stands in for the RAG API: pieces of texts, embedded at the gateway, in PostgreSQL with pgvector. */
import { createServer } from 'node:http'

import jwt from 'jsonwebtoken'
import pg from 'pg'

const need = (name) => {
  if (!process.env[name]) throw new Error(`${name} is not set`)
  return process.env[name]
}
const NAMES = [
  'RAG_HOST', 'RAG_PORT', 'RAG_UPLOAD_DIR', 'JWT_SECRET', 'VECTOR_DB_TYPE', 'DB_HOST', 'DB_PORT', 'POSTGRES_DB',
  'POSTGRES_USER', 'POSTGRES_PASSWORD', 'COLLECTION_NAME', 'EMBEDDINGS_PROVIDER', 'EMBEDDINGS_MODEL',
  'EMBEDDINGS_CHUNK_SIZE', 'RAG_OPENAI_BASEURL', 'RAG_OPENAI_API_KEY', 'RAG_CHECK_EMBEDDING_CTX_LENGTH', 'CHUNK_SIZE',
  'CHUNK_OVERLAP', 'PDF_EXTRACT_IMAGES',
]

async function embed(input) {
  const answer = await fetch(`${need('RAG_OPENAI_BASEURL')}/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${need('RAG_OPENAI_API_KEY')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: need('EMBEDDINGS_MODEL'), input }),
  })
  if (!answer.ok) throw new Error(`the gateway does not embed: ${answer.status}`)
  return (await answer.json()).data.map(({ embedding }) => JSON.stringify(embedding))
}

export function cut(text, size, overlap) {
  const pieces = []
  for (let start = 0; start === 0 || start + overlap < text.length; start += size - overlap) pieces.push(text.slice(start, start + size))
  return pieces
}

const routes = {
  'GET /health': async ({ database }) => ((await database.query('SELECT 1')).rowCount === 1 ? { status: 'UP' } : {}),
  'POST /embed': async ({ database, user, form }) => {
    const { file, file_id } = Object.fromEntries(await form())
    const batch = Number(need('EMBEDDINGS_CHUNK_SIZE'))
    const pieces = cut(await file.text(), Number(need('CHUNK_SIZE')), Number(need('CHUNK_OVERLAP')))
    for (let at = 0; at < pieces.length; at += batch) {
      const some = pieces.slice(at, at + batch)
      const vectors = await embed(some)
      const rows = [file_id, user, some, vectors]
      await database.query('INSERT INTO passage SELECT $1, $2, text, vector::vector FROM unnest($3::text[], $4::text[]) AS t(text, vector)', rows)
    }
    return { status: true, message: 'File processed successfully.' }
  },
  'POST /query': async ({ database, user, json }) => {
    const { file_id, query, k } = await json()
    const [vector] = await embed([query])
    const asked = 'SELECT text, vector <=> $1::vector AS distance FROM passage WHERE file = $2 AND person = $3 ORDER BY 2 LIMIT $4'
    const { rows } = await database.query(asked, [vector, file_id, user, k])
    return rows.map(({ text, distance }) => [{ page_content: text }, distance])
  },
  'DELETE /documents': async ({ database, user, json }) => {
    await database.query('DELETE FROM passage WHERE file = ANY($1) AND person = $2', [await json(), user])
    return { message: 'Documents deleted successfully' }
  },
}

async function start() {
  NAMES.forEach(need)
  const database = new pg.Pool({
    host: need('DB_HOST'), port: Number(need('DB_PORT')), database: need('POSTGRES_DB'),
    user: need('POSTGRES_USER'), password: need('POSTGRES_PASSWORD'),
  })
  await database.query('CREATE TABLE IF NOT EXISTS passage (file text, person text, text text, vector vector)')
  createServer(async (request, response) => {
    const name = `${request.method} ${request.url}`
    try {
      const [, token] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? []
      const user = name === 'GET /health' ? null : jwt.verify(token, need('JWT_SECRET')).id
      const body = new Response(request.method === 'GET' ? null : Buffer.concat(await request.toArray()), {
        headers: { 'content-type': request.headers['content-type'] ?? '' },
      })
      const given = { database, user, form: () => body.formData(), json: () => body.json() }
      response.end(JSON.stringify(await routes[name](given)))
    } catch (error) {
      console.error(error.message)
      response.writeHead(error instanceof jwt.JsonWebTokenError ? 401 : 500).end(JSON.stringify({ detail: error.message }))
    }
  }).listen(Number(need('RAG_PORT')), need('RAG_HOST'))
}

if (process.argv[1] === import.meta.filename) {
  process.once('SIGTERM', () => process.exit(0)) // the first process of a container ignores it else
  start().catch((error) => {
    console.error(error.message)
    process.exit(1)
  })
}
