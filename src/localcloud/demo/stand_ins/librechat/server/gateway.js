/** Asks the gateway in the name of a person, as the headers of librechat.yaml say. */

const PLACEHOLDER = /^\{\{LIBRECHAT_USER_(\w+)\}\}$/
const FIELDS = { ID: 'id', EMAIL: 'email', NAME: 'name', USERNAME: 'username', ROLE: 'role', OPENIDID: 'openidId' }

export function headersFor({ key, headers }, person) {
  const filled = Object.entries(headers).map(([name, value]) => [
    name,
    value.replace(PLACEHOLDER, (_, field) => String(person[FIELDS[field]] ?? '')),
  ])
  return { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...Object.fromEntries(filled) }
}

export async function models(gateway, person) {
  const answer = await fetch(`${gateway.url}/models`, { headers: headersFor(gateway, person) })
  if (!answer.ok) throw new Error(await complaint(answer))
  return (await answer.json()).data.map(({ id }) => id)
}

/** Yields the answer, piece by piece; throws what the gateway says where it refuses. */
export async function* ask(gateway, person, model, messages) {
  const body = JSON.stringify({ model, messages, stream: true, user: person.id })
  const answer = await fetch(`${gateway.url}/chat/completions`, {
    method: 'POST',
    headers: headersFor(gateway, person),
    body,
  })
  if (!answer.ok) throw new Error(await complaint(answer))
  let rest = ''
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue
      const piece = JSON.parse(line.slice(6)).choices?.[0]?.delta?.content
      if (piece) yield piece
    }
  }
}

async function complaint(answer) {
  const text = await answer.text()
  try {
    return JSON.parse(text).error.message
  } catch {
    return `the gateway answers ${answer.status}: ${text}`
  }
}
