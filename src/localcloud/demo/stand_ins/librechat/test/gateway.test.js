import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { ask, headersFor, models } from '../server/gateway.js'

const PERSON = { id: '7', email: 'ada@example.org' }

async function gateway(context, answer) {
  const server = createServer((request, response) => answer(request, response)).listen(0, '127.0.0.1')
  context.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  return { url: `http://127.0.0.1:${server.address().port}/v1`, key: 'k', headers: { 'x-user': '{{LIBRECHAT_USER_ID}}' } }
}

test('headers say who asks, and nobody where nothing is known', () => {
  const headers = { A: '{{LIBRECHAT_USER_EMAIL}}', B: '{{LIBRECHAT_USER_OPENIDID}}', C: 'as it is' }
  const { authorization, A, B, C } = headersFor({ key: 'k', headers }, PERSON)
  assert.deepEqual([authorization, A, B, C], ['Bearer k', 'ada@example.org', '', 'as it is'])
})

test('an answer comes in pieces, wherever the network cuts it', async (context) => {
  const at = await gateway(context, async (_, response) => {
    const text = ['Grün', 'fläche'].map((content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`)
    for (const byte of Buffer.from(`${text.join('')}data: [DONE]\n\n`)) response.write(Buffer.from([byte]))
    response.end()
  })
  const pieces = []
  for await (const piece of ask(at, PERSON, 'm', [])) pieces.push(piece)
  assert.deepEqual(pieces, ['Grün', 'fläche'])
})

test('a refusal is told in the words of the gateway', async (context) => {
  const at = await gateway(context, (_, response) => response.writeHead(400).end('{"error":{"message":"over budget"}}'))
  await assert.rejects(ask(at, PERSON, 'm', []).next(), { message: 'over budget' })
  await assert.rejects(models(at, PERSON), { message: 'over budget' })
})

test('models are asked for in the name of somebody', async (context) => {
  const at = await gateway(context, (request, response) => response.end(JSON.stringify({ data: [{ id: request.headers['x-user'] }] })))
  assert.deepEqual(await models(at, PERSON), ['7'])
})
