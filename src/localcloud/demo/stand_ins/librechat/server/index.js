/** Stands in for LibreChat: its variables and file, its schemas in MongoDB, its sign-on, files and answers. */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'

import { createMethods, createModels } from '@librechat/data-schemas'
import jwt from 'jsonwebtoken'
import mongoose from 'mongoose'

import { Bucket, Folder } from './files.js'
import { ask, models } from './gateway.js'
import { chat, login } from './page.js'
import { readSettings } from './settings.js'
import { Refused, SignOn } from './sign_on.js'

const REFUSED = '/login?redirect=false&error=auth_failed'
const NOT_FOUND = { status: 404, body: 'Not found' }

export class Server {
  #idTokens = new Map()

  constructor(settings, { methods, store, signOn }) {
    Object.assign(this, { settings, methods, store, signOn })
    this.routes = {
      'GET /readyz': () => ({ body: 'OK' }),
      'GET /login': ({ url }) => this.login(url.searchParams),
      'GET /oauth/openid': () => this.begin(),
      'GET /oauth/openid/callback': (request) => this.finish(request),
      'GET /api/config': () => this.config(),
      'GET /': (request) => this.home(request),
      'POST /api/auth/refresh': (request) => this.refresh(request),
    }
    this.private = {
      'POST /api/auth/logout': (request) => this.logout(request),
      'GET /api/models': ({ user }) => this.models(user),
      'POST /api/agents/chat': (request) => this.chat(request),
      'GET /api/messages': async ({ user }) => ({ json: await this.methods.getMessages({ user: user.id }) }),
      'GET /api/search': ({ url }) => this.search(url.searchParams.get('q')),
      'GET /api/files': async ({ user }) => ({ json: await this.methods.getFiles({ user: user.id }) }),
      'POST /api/files': (request) => this.upload(request),
    }
  }

  async answer(request) {
    const url = new URL(request.url, this.settings.url)
    const name = `${request.method} ${url.pathname}`
    const cookies = Object.fromEntries((request.headers.cookie ?? '').split('; ').map((pair) => pair.split(/=(.*)/s)))
    const given = { url, cookies, request }
    if (this.routes[name]) return this.routes[name](given)
    const session = await this.session(given)
    if (!session) return { status: 401, body: 'Unauthorized' }
    const user = await this.methods.getUserById(session.user)
    const known = { ...given, session, user: { ...user, id: String(user._id) } }
    if (this.private[name]) return this.private[name](known)
    const [, id] = /^\/api\/files\/([\w-]+)$/.exec(url.pathname) ?? []
    return id ? this.file(id, known) : NOT_FOUND
  }

  /** Cookie or token, it holds as long as MongoDB keeps the session. */
  async session({ request, cookies }) {
    const [, token] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? []
    try {
      if (token) return await this.methods.findSession({ sessionId: jwt.verify(token, this.settings.tokenSecret).sid })
      jwt.verify(cookies.refreshToken, this.settings.refreshSecret)
      return await this.methods.findSession({ refreshToken: cookies.refreshToken })
    } catch {
      return null
    }
  }

  async begin() {
    if (!this.signOn) return { status: 500, body: 'Unknown authentication strategy "openid"' }
    const { to, keep } = await this.signOn.begin()
    return { redirect: to, cookie: this.cookie('openid', keep) }
  }

  async finish({ url, cookies }) {
    const { person, idToken } = await this.signOn.finish(url, cookies.openid)
    const known = await this.methods.findUser({ openidId: person.openidId })
    if (!known && !this.settings.newPeople) throw new Refused('ALLOW_SOCIAL_REGISTRATION is off')
    const user = known
      ? await this.methods.updateUser(known._id, person)
      : await this.methods.createUser(person, { enabled: false }, true, true)
    const expiresIn = this.settings.sessionMilliseconds
    const { session, refreshToken } = await this.methods.createSession(user._id, { expiresIn })
    this.#idTokens.set(String(session._id), idToken)
    return { redirect: this.settings.home, cookie: this.cookie('refreshToken', refreshToken) }
  }

  cookie(name, value) {
    return `${name}=${value}; HttpOnly; Path=/; SameSite=Lax${this.settings.secureCookies ? '; Secure' : ''}`
  }

  config() {
    const { title, emailLogin, signOn } = this.settings
    return { json: { appTitle: title, emailLoginEnabled: emailLogin, openidLoginEnabled: signOn !== null } }
  }

  async home(given) {
    if (await this.session(given)) return { html: chat(this.settings) }
    return { redirect: '/login' }
  }

  login(asked) {
    if (this.settings.signOn?.autoRedirect && asked.get('redirect') !== 'false') return { redirect: '/oauth/openid' }
    return { html: login(this.settings, asked.has('error')) }
  }

  async refresh(given) {
    const session = await this.session(given)
    if (!session) return { status: 401, body: 'Unauthorized' }
    const expiresIn = Math.floor(this.settings.tokenMilliseconds / 1000)
    const user = await this.methods.getUserById(session.user, '-__v')
    const token = jwt.sign({ id: String(session.user), sid: String(session._id) }, this.settings.tokenSecret, { expiresIn })
    return { json: { token, user } }
  }

  async logout({ session }) {
    const id = String(session._id)
    await this.methods.deleteSession({ sessionId: id })
    const redirect = this.signOn?.end(this.#idTokens.get(id))
    this.#idTokens.delete(id)
    return { json: { message: 'Logout successful', redirect }, cookie: `${this.cookie('refreshToken', '')}; Max-Age=0` }
  }

  async models(user) {
    const listed = new Set(await models(this.settings.gateway, user))
    return { json: this.settings.models.filter(({ name }) => listed.has(name)) }
  }

  async chat({ request, user }) {
    const { text, model = this.settings.models.find(({ first }) => first).name, files = [] } = JSON.parse(await read(request))
    const conversationId = randomUUID()
    const keep = (id, content, isCreatedByUser) =>
      mongoose.models.Message.create({ messageId: id, conversationId, user: user.id, text: content, isCreatedByUser, model })
    const found = await Promise.all(files.map((id) => this.passages(user, id, text)))
    const messages = [{ role: 'user', content: [...found.flat(), text].join('\n\n') }]
    const answer = ask(this.settings.gateway, user, model, messages)
    const first = await answer.next() // a refusal is an error, not an answer
    await mongoose.models.Conversation.create({ conversationId, user: user.id, endpoint: 'gateway', model, title: text.slice(0, 40) })
    await keep(randomUUID(), text, true)
    const pieces = async function* () {
      let whole = ''
      for (let piece = first; !piece.done; piece = await answer.next()) {
        whole += piece.value
        yield piece.value
      }
      await keep(randomUUID(), whole, false)
    }
    return { stream: pieces() }
  }

  async search(words) {
    const { url, key } = this.settings.search
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ q: words })
    return { json: await fetched(`${url}/indexes/messages/search`, { method: 'POST', headers, body }) }
  }

  async upload({ request, user }) {
    const form = await new Response(await read(request, this.settings.largest), { headers: { 'content-type': request.headers['content-type'] } }).formData()
    const file = form.get('file')
    const type = file.type.split(';')[0]
    if (!this.settings.kinds.some((kind) => kind.test(type))) return { status: 400, body: `Unsupported file type: ${type}` }
    const id = randomUUID()
    const bytes = Buffer.from(await file.arrayBuffer())
    const filepath = await this.store.put(keyOf(user, id, file.name), bytes, type)
    const embedded = type.startsWith('text/')
    if (embedded) await this.embed(user, id, file)
    const about = { user: user.id, file_id: id, filename: file.name, filepath, type, bytes: bytes.length, object: 'file', usage: 0, embedded }
    return { status: 201, json: await this.methods.createFile(about, true) }
  }

  async file(id, { request, user }) {
    const [file] = await this.methods.getFiles({ file_id: id, user: user.id })
    if (!file) return NOT_FOUND
    const key = keyOf(user, id, file.filename)
    if (request.method === 'GET') return { type: file.type, body: await this.store.get(key) }
    if (request.method !== 'DELETE') return NOT_FOUND
    await this.store.remove(key)
    if (file.embedded) await this.rag(user, '/documents', { method: 'DELETE', body: JSON.stringify([id]) })
    await this.methods.deleteFile(id)
    return { json: { message: 'Files deleted successfully' } }
  }

  async embed(user, id, file) {
    const form = new FormData()
    form.set('file_id', id)
    form.set('file', file)
    const { status, message } = await this.rag(user, '/embed', { method: 'POST', body: form })
    if (!status) throw new Error(`File embedding failed: ${message}`)
  }

  async passages(user, file_id, query) {
    const body = JSON.stringify({ file_id, query, k: 1 })
    return (await this.rag(user, '/query', { method: 'POST', body })).map(([{ page_content }]) => page_content)
  }

  rag(user, path, request) {
    const token = jwt.sign({ id: user.id }, this.settings.tokenSecret, { expiresIn: '5m' })
    const type = typeof request.body === 'string' ? { 'content-type': 'application/json' } : {}
    return fetched(this.settings.rag + path, { ...request, headers: { authorization: `Bearer ${token}`, ...type } })
  }
}

function keyOf(user, id, name) {
  return `uploads/${user.id}/${id}__${name.replaceAll('/', '_')}`
}

async function fetched(url, request) {
  const answer = await fetch(url, request)
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${await answer.text()}`)
  return answer.json()
}

async function read(request, largest = 2 ** 20) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > largest + 4096) throw new Error('File too large') // the rest of the form is small
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function send(response, { status = 200, body, json, html, stream, redirect, cookie, type }) {
  if (cookie) response.setHeader('set-cookie', cookie)
  if (redirect) return response.writeHead(302, { location: redirect }).end()
  const kind = json !== undefined ? 'application/json' : html !== undefined ? 'text/html; charset=utf-8' : (type ?? 'text/plain; charset=utf-8')
  response.writeHead(status, { 'content-type': kind })
  if (stream) for await (const piece of stream) response.write(piece)
  response.end(json !== undefined ? JSON.stringify(json) : (html ?? body))
}

export function serve(server) {
  return createServer((request, response) => {
    server
      .answer(request)
      .then((said) => send(response, said))
      .catch((error) => {
        console.error(error.message)
        if (response.headersSent) return response.destroy()
        if (error instanceof Refused) return send(response, { redirect: REFUSED })
        return send(response, { status: 500, body: error.message })
      })
  })
}

async function start() {
  const settings = readSettings(process.env)
  await mongoose.connect(settings.mongo, { serverSelectionTimeoutMS: 10_000 })
  createModels(mongoose)
  const methods = createMethods(mongoose)
  await methods.initializeRoles()
  const store = settings.bucket ? new Bucket(settings.bucket) : new Folder()
  await store.check()
  const rag = await fetched(`${settings.rag}/health`)
  if (rag.status !== 'UP') throw new Error(`RAG API is not up at ${settings.rag}`)
  // As LibreChat does: without its provider it runs on, and people cannot sign in.
  const signOn = settings.signOn && (await SignOn.find(settings.signOn).catch((error) => console.error(`[openidStrategy] ${error.message}`)))
  serve(new Server(settings, { methods, store, signOn })).listen(settings.port, settings.host)
}

if (process.argv[1] === import.meta.filename) {
  process.once('SIGTERM', () => process.exit(0)) // the first process of a container ignores it else
  start().catch((error) => {
    console.error(error.message)
    process.exit(1)
  })
}
