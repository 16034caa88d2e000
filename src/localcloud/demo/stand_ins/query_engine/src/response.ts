/** Responses: from the engine's JSON protocol to what Prisma Client Python 0.11 expects of the GraphQL protocol. */
import type { EngineError } from './errors.js'
import type { Value } from './request.js'

/** What the engine answers to one query. */
export interface EngineResponse {
  data?: { [operation: string]: Value }
  errors?: EngineError[]
}

/** What the engine answers to a raw query: a table whose types stand beside it. */
interface RawTable {
  columns: string[]
  types: string[]
  rows: Value[][]
}

export type ClientResponse = { data: { result: Value } } | { errors: EngineError[] }

export function toClientResponse(response: EngineResponse, action: string): ClientResponse {
  if (response.errors) return { errors: response.errors }
  const result = Object.values(response.data ?? {})[0] ?? null
  return { data: { result: action === 'queryRaw' ? rawRows(result) : untagged(result) } }
}

/** The JSON protocol tags what JSON cannot say (`{"$type": "DateTime", "value": …}`); GraphQL gives the bare value. */
function untagged(value: Value): Value {
  if (Array.isArray(value)) return value.map(untagged)
  if (value === null || typeof value !== 'object') return value
  const { $type: tag, value: inner } = value
  if (typeof tag === 'string' && inner !== undefined) return tag === 'BigInt' ? wholeNumber(inner) : inner
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, untagged(element)]))
}

/** A number where JavaScript can hold it exactly, else its digits as a string. */
function wholeNumber(digits: Value): Value {
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : digits
}

/** Engines since 5.14 answer a raw query with a table; the client in use reads the older list of typed rows. */
function rawRows(result: Value): Value {
  if (!isRawTable(result)) return result
  const { columns, types, rows } = result
  return rows.map((row) =>
    Object.fromEntries(columns.map((column, index) => [column, typedCell(types[index] ?? 'string', row[index] ?? null)])),
  )
}

function isRawTable(value: unknown): value is RawTable {
  return typeof value === 'object' && value !== null && 'columns' in value && 'types' in value && 'rows' in value
}

function typedCell(type: string, value: Value): Value {
  if (value === null) return { prisma__type: 'null', prisma__value: null }
  const element = type.endsWith('-array') ? type.slice(0, -'-array'.length) : undefined
  if (element === undefined || !Array.isArray(value)) return { prisma__type: type, prisma__value: value }
  return { prisma__type: 'array', prisma__value: value.map((inner) => typedCell(element, inner)) }
}
