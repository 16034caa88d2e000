/** The least that a browser needs: sign in, ask, upload, sign out. */

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
const page = ({ title, footer }, body) =>
  `<!doctype html><meta charset="utf-8"><title>${escape(title)}</title><h1>${escape(title)}</h1>${body}<footer>${escape(footer)}</footer>`

// LibreChat keeps the reason to itself.
const FAILED = '<p role="alert">Authentication failed. Please check your login method and try again.</p>'

export function login(settings, failed) {
  const { signOn } = settings
  const button = signOn ? `<a role="button" href="/oauth/openid">${escape(signOn.button)}</a>` : 'There is no sign-on.'
  return page(settings, (failed ? FAILED : '') + button)
}

export function chat(settings) {
  return page(
    settings,
    `<p>Signed in as <b id="who"></b></p>
<form id="ask"><input name="text" aria-label="Question" required><button>Ask</button></form>
<pre id="answer" role="status"></pre>
<form id="upload"><input name="file" type="file" aria-label="File" required><button>Upload</button></form>
<ul id="files"></ul>
<button id="out">Sign out</button>
<script type="module">
const by = (id) => document.getElementById(id)
const { token, user } = await (await fetch('/api/auth/refresh', { method: 'POST' })).json()
const call = (path, options) => fetch(path, { ...options, headers: { authorization: 'Bearer ' + token } })
by('who').textContent = user.email
const list = async () => {
  const files = await (await call('/api/files')).json()
  by('files').replaceChildren(...files.map((file) => Object.assign(document.createElement('li'), { textContent: file.filename, id: file.file_id })))
}
by('ask').onsubmit = async (event) => {
  event.preventDefault()
  by('answer').textContent = ''
  const files = [...by('files').children].map((file) => file.id)
  const body = JSON.stringify({ text: event.target.text.value, files })
  const answer = await call('/api/agents/chat', { method: 'POST', body })
  const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) by('answer').textContent += piece.value
}
by('upload').onsubmit = async (event) => {
  event.preventDefault()
  const answer = await call('/api/files', { method: 'POST', body: new FormData(event.target) })
  if (!answer.ok) by('answer').textContent = await answer.text()
  await list()
}
by('out').onclick = async () => {
  location = (await (await call('/api/auth/logout', { method: 'POST' })).json()).redirect ?? '/login'
}
await list()
</script>`,
  )
}
